"""Where things lie in a scene that is laid out, by the pixels."""

import numpy as np
import pytest

from limner.engines.mini_layout import BANDS, GROUNDS, backdrop, composed, lay_out, parts, spots
from limner.engines.mini_prompt import Reader
from limner.engines.mini_scene import COLOURS, PLACES, Scene

SIDE = 256


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def disc(colour: tuple[int, int, int]) -> np.ndarray:
    """A thing as the model draws one: in the middle of white."""
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = (x - SIDE / 2) ** 2 + (y - SIDE / 2) ** 2 < (0.4 * SIDE) ** 2
    return np.where(inside[..., None], np.array(colour), 255).astype(np.uint8)


def scene_of(reader: Reader, prompt: str) -> Scene:
    scene = reader.read(prompt)
    assert scene is not None
    return scene


def centre(picture: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Middle of what has this colour, as shares of the side."""
    y, x = np.nonzero((np.abs(picture[..., :3].astype(int) - colour) < 12).all(-1))
    return float(x.mean()) / len(picture), float(y.mean()) / len(picture)


def test_tables_name_what_the_grammar_names() -> None:
    assert set(GROUNDS) | {"white"} == set(COLOURS)
    assert set(BANDS) == set(PLACES)


@pytest.mark.parametrize(
    ("prompt", "count"), [("a cat", 1), ("two cats", 2), ("a cat and a dog", 2), ("hello world user", 3)]
)
def test_a_part_for_each_thing(reader: Reader, prompt: str, count: int) -> None:
    scene = scene_of(reader, prompt)
    assert len(parts(scene)) == len(spots(scene, SIDE, SIDE)) == count
    assert composed(scene) == (count > 1)
    assert all(part.ground is None and part.things[0].count == 1 for part in parts(scene))


def test_left_and_right_above_and_below(reader: Reader) -> None:
    red, blue = (220, 30, 30), (30, 60, 220)
    beside = lay_out(scene_of(reader, "a cat and a dog"), [disc(red), disc(blue)], SIDE, SIDE)
    assert centre(beside, red)[0] < 0.35 < 0.65 < centre(beside, blue)[0]
    stacked = lay_out(scene_of(reader, "a cat on a chair"), [disc(red), disc(blue)], SIDE, SIDE)
    assert centre(stacked, red)[1] < 0.35 < 0.65 < centre(stacked, blue)[1]
    left = lay_out(scene_of(reader, "a cat on the left"), [disc(red)], SIDE, SIDE)
    assert centre(left, red)[0] < 0.35


def test_things_stand_on_the_ground_of_a_place_whatever_their_size(reader: Reader) -> None:
    red, blue = (220, 30, 30), (30, 60, 220)
    picture = lay_out(scene_of(reader, "a small cat and a big dog on the beach"), [disc(red), disc(blue)], SIDE, SIDE)
    lowest = [np.nonzero((np.abs(picture.astype(int) - colour) < 12).all(-1))[0].max() for colour in (red, blue)]
    assert max(lowest) - min(lowest) <= 3
    assert min(lowest) > 0.85 * SIDE


def test_what_is_on_another_thing_touches_it(reader: Reader) -> None:
    red, blue = (220, 30, 30), (30, 60, 220)
    picture = lay_out(scene_of(reader, "a small cat on a chair"), [disc(red), disc(blue)], SIDE, SIDE).astype(int)
    column = picture[:, SIDE // 2]
    upper, lower = ((np.abs(column - colour) < 12).all(-1).nonzero()[0] for colour in (red, blue))
    assert upper.max() < lower.min() <= upper.max() + 6


def test_small_is_smaller_than_big(reader: Reader) -> None:
    red = (220, 30, 30)
    small, big = (
        (np.abs(lay_out(scene_of(reader, f"a {size} cat"), [disc(red)], SIDE, SIDE).astype(int) - red) < 12)
        .all(-1)
        .sum()
        for size in ("small", "big")
    )
    assert small * 3 < big


@pytest.mark.parametrize("place", PLACES)
def test_a_place_shows_around_the_thing(reader: Reader, place: str) -> None:
    picture = lay_out(scene_of(reader, f"a cat {PLACES[place]}"), [disc((220, 30, 30))], SIDE, SIDE)
    assert np.array_equal(picture[:8, :8], backdrop(place, SIDE, SIDE)[:8, :8].astype(np.uint8))


@pytest.mark.parametrize(("width", "height"), [(SIDE, SIDE), (3 * SIDE, SIDE), (SIDE, 3 * SIDE), (640, 480)])
@pytest.mark.parametrize(
    "prompt", ["a cat", "a cat and a dog", "three cats", "seven cats", "a cat on a chair", "a cat on the right"]
)
def test_things_lie_within_the_picture_and_apart(reader: Reader, prompt: str, width: int, height: int) -> None:
    found = spots(scene_of(reader, prompt), width, height)
    for x, y, side in found:
        assert 0 <= x - side / 2 <= x + side / 2 <= width + 1
        assert 0 <= y - side / 2 <= y + side / 2 <= height + 1
    for i, (x, y, side) in enumerate(found):
        assert all(max(abs(x - ox), abs(y - oy)) > 0.94 * (side + other) / 2 for ox, oy, other in found[:i])


def test_without_a_ground_all_but_the_things_is_transparent(reader: Reader) -> None:
    picture = lay_out(scene_of(reader, "a cat and a dog"), [disc((220, 30, 30))] * 2, SIDE, SIDE, clear=True)
    assert picture.shape == (SIDE, SIDE, 4)
    assert picture[0, 0, 3] == 0
    assert picture[SIDE // 2, SIDE // 4, 3] == 255
