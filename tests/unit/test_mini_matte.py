"""A transparent background for limner-mini: what is ground and what is thing, and what is left along the edges."""

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from limner.engines.mini_matte import cut_out

GREEN = (40, 150, 60)


def soft(draw: str, fill: object, ground: object, outline: object = None, size: int = 256) -> PIL.Image.Image:
    """A shape with edges as soft as the decoder draws them, on a ground."""
    big = PIL.Image.new("RGB", (4 * size, 4 * size), ground)  # type: ignore[arg-type]
    box = (size, size, 3 * size, 3 * size)
    getattr(PIL.ImageDraw.Draw(big), draw)(box, fill=fill, outline=outline, width=size // 16)
    return big.resize((size, size), PIL.Image.Resampling.BOX)


def cut(picture: PIL.Image.Image) -> PIL.Image.Image:
    return PIL.Image.fromarray(cut_out(np.asarray(picture)))


@pytest.mark.parametrize("ground", ["white", "black", (66, 110, 220)])
def test_no_fringe_of_the_ground_is_left_on_another(ground: object) -> None:
    """Laid on green, it is as if it had been drawn on green."""
    cutting = cut(soft("ellipse", (220, 60, 30), ground))
    page = PIL.Image.new("RGB", cutting.size, GREEN)
    page.paste(cutting, (0, 0), cutting)
    there = np.asarray(soft("ellipse", (220, 60, 30), GREEN), np.int16)
    away = np.abs(np.asarray(page, np.int16) - there)
    assert away.mean() < 1
    assert np.percentile(away, 99.9) < 48


def test_what_is_white_inside_an_outline_stays() -> None:
    cutting = cut(soft("ellipse", "white", "white", outline=(60, 60, 60)))
    assert cutting.getpixel((128, 128)) == (255, 255, 255, 255)
    assert cutting.getpixel((4, 4)) == (0, 0, 0, 0)
    # From the middle outwards nothing lets the page through until the outline is crossed.
    assert min(np.asarray(cutting)[128, 70:186, 3]) == 255


def test_what_is_not_joined_to_the_border_stays() -> None:
    """The hole of a ring: it may as well be a white thing."""
    ring = soft("ellipse", "white", "white", outline=(200, 160, 40))
    assert cut(ring).getpixel((128, 128)) == (255, 255, 255, 255)


def test_ways_to_the_border_may_turn() -> None:
    picture = PIL.Image.new("RGB", (128, 128), "white")
    for left in range(16, 112, 16):
        # A snake of walls, open above and below by turns.
        top = 8 if left % 32 else -1
        PIL.ImageDraw.Draw(picture).rectangle((left, top, left + 4, top + 112), fill="red")
    alpha = np.asarray(cut(picture))[:, :, 3]
    assert (alpha[:, 24:28] == 0).all()


def test_the_rim_that_the_decoder_draws_off_colour_is_ground() -> None:
    picture = soft("ellipse", "red", "white")
    PIL.ImageDraw.Draw(picture).rectangle((0, 0, 255, 255), outline=(190, 190, 190), width=2)
    alpha = np.asarray(cut(picture))[:, :, 3]
    assert not alpha[0].any()
    assert not alpha[:, -1].any()


@pytest.mark.parametrize("size", [(1, 1), (64, 1), (3, 200), (70, 65), (700, 520)])
def test_any_shape_of_picture(size: tuple[int, int]) -> None:
    made = cut_out(np.full((size[1], size[0], 3), 255, np.uint8))
    assert made.shape == (size[1], size[0], 4)
    assert not made.any()


def test_a_large_picture_is_cut_as_a_small_one() -> None:
    large = cut(soft("ellipse", (220, 60, 30), "white", size=1024))
    small = cut(soft("ellipse", (220, 60, 30), "white"))
    shrunk = np.asarray(large.resize(small.size, PIL.Image.Resampling.BOX), np.int16)[:, :, 3]
    assert np.abs(shrunk - np.asarray(small, np.int16)[:, :, 3]).mean() < 1
