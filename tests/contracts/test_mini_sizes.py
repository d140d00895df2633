"""limner-mini beyond the size that its transformer draws at: sharper, and the same picture."""

from collections.abc import AsyncIterator

import numpy as np
import PIL.Image
import pytest

from limner.engines.mini import MiniEngine
from limner.engines.mini_layout import GROUNDS
from limner.types import Image

THINGS = ("a cat", "a red apple", "a house", "a rocket, 3d", "a cartoon robot")


@pytest.fixture
async def engine() -> AsyncIterator[MiniEngine]:
    async with MiniEngine() as opened:
        yield opened


async def drawn(engine: MiniEngine, prompt: str, size: str) -> np.ndarray:
    request = engine.cards()[0].request(prompt, seed=7, size=size)
    (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(float)


def steepest(picture: np.ndarray) -> float:
    """How much neighbouring pixels differ at the steepest edges."""
    return float(np.percentile(np.abs(np.diff(picture.mean(2), axis=1)), 99.7))


@pytest.mark.parametrize("size", ["512x512", "1024x1024"])
@pytest.mark.parametrize("prompt", THINGS)
async def test_a_larger_picture_is_the_same_with_sharper_edges(engine: MiniEngine, prompt: str, size: str) -> None:
    small, large = await drawn(engine, prompt, "256x256"), await drawn(engine, prompt, size)
    side = len(large)
    stretched = PIL.Image.fromarray(small.astype(np.uint8)).resize((side, side), PIL.Image.Resampling.LANCZOS)
    shrunk = PIL.Image.fromarray(large.astype(np.uint8)).resize((256, 256), PIL.Image.Resampling.BOX)
    assert np.abs(np.asarray(shrunk) - small).mean() < 6
    assert steepest(large) > 1.5 * steepest(np.asarray(stretched, float))


@pytest.mark.parametrize("size", ["768x256", "256x768"])
async def test_a_ground_fills_a_long_picture_and_two_things_share_it(engine: MiniEngine, size: str) -> None:
    picture = await drawn(engine, "a cat and a dog on a blue background", size)
    blue = (np.abs(picture - GROUNDS["blue"]) < 3).all(2)
    assert blue[0].all()
    assert blue[-1].all()
    halves = np.array_split(blue, 2, axis=int(picture.shape[1] > picture.shape[0]))
    # A thing in each half takes a good part of it.
    assert all(0.2 < 1 - half.mean() < 0.75 for half in halves)


async def test_a_request_that_names_no_size_gets_the_cards(engine: MiniEngine) -> None:
    (card,) = engine.cards()
    request = card.request("a cat")
    assert (request.width, request.height) == (card.native.width, card.native.height) == (2 * engine.drawn,) * 2
