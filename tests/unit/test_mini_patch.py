"""Things laid into a picture: the hole is filled from around it, and nothing else changes."""

import numpy as np
import pytest

from limner.engines.mini_patch import filled, patch_of

WIDTH, HEIGHT = 120, 90


def slope() -> np.ndarray:
    """A ground that changes evenly from left to right and from top to bottom."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 2, y * 2, x + y], 2).astype(np.uint8)


def disc(x: int, y: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).astype(np.float32)[..., None]


# In a corner there is nothing on the other side to go on from.
@pytest.mark.parametrize(("at", "off"), [((60, 45), 12), ((0, 0), 25), ((110, 80), 25)])
def test_a_hole_is_filled_with_what_surrounds_it(at: tuple[int, int], off: float) -> None:
    hole = disc(*at, 20)
    spoilt = np.where(hole > 0, 255, slope()).astype(np.uint8)
    new = filled(spoilt, hole)
    assert np.array_equal(new[hole[..., 0] == 0], spoilt[hole[..., 0] == 0])
    assert np.abs(new.astype(int) - slope())[hole[..., 0] > 0].mean() < off


def test_things_lie_in_the_middle_of_what_is_free_and_the_rest_stays() -> None:
    hole = disc(60, 45, 30)
    patch = patch_of(slope(), hole)
    assert patch is not None
    left, top, width, height = patch.box
    assert (left + width / 2, top + height / 2) == pytest.approx((60, 45), abs=1.5)
    # The box's sides, not its corners, reach beyond the disc.
    assert 2 * 30 / 2**0.5 < width < 2 * 30
    red = np.zeros((height, width, 4), np.uint8)
    red[height // 3 : -height // 3, width // 3 : -width // 3] = (255, 0, 0, 255)
    after = np.frombuffer(patch.finish(red), np.uint8).reshape(HEIGHT, WIDTH, 3)
    assert np.array_equal(after[hole[..., 0] == 0], slope()[hole[..., 0] == 0])
    assert tuple(after[45, 60]) == (255, 0, 0)
    assert np.abs(after[45, 60 - 28].astype(int) - slope()[45, 60 - 28]).max() < 20


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_of_a_picture_or_nothing_is_no_patch(share: float) -> None:
    assert patch_of(slope(), np.full((HEIGHT, WIDTH, 1), share, np.float32)) is None
