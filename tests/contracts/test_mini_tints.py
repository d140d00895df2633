"""Things in the colour that was asked for, whatever colours they have of their own."""

from collections.abc import AsyncIterator

import numpy as np
import PIL.Image
import pytest

from limner.engines.mini import MiniEngine
from limner.engines.mini_tint import HUES
from limner.sources import Source
from limner.types import Image

# One that a hue leads, and one that is grey.
THINGS = ("car", "elephant")


@pytest.fixture
async def engine() -> AsyncIterator[MiniEngine]:
    async with MiniEngine() as opened:
        yield opened


async def drawn(engine: MiniEngine, prompt: str, **wishes: object) -> np.ndarray:
    request = engine.cards()[0].request(prompt, seed=6, **{"size": "256x256"} | wishes)
    (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, -1)


def share(picture: np.ndarray, colour: str) -> float:
    """How much of what is not white has about the hue of `colour`."""
    hue, saturation, value = np.moveaxis(np.asarray(PIL.Image.fromarray(picture).convert("HSV"), float), 2, 0)
    thing = (saturation > 40) | (value < 200)
    apart = np.abs((hue * 360 / 255 - HUES[colour] + 180) % 360 - 180)
    return float((thing & (saturation > 60) & (apart < 20)).sum() / thing.sum())


@pytest.mark.parametrize("thing", THINGS)
async def test_the_colour_that_was_asked_for_leads(engine: MiniEngine, thing: str) -> None:
    shares = {colour: share(await drawn(engine, f"a {colour} {thing}"), colour) for colour in HUES}
    assert {colour: found for colour, found in shares.items() if found < 0.45} == {}


async def test_a_thing_keeps_its_shape_and_its_white(engine: MiniEngine) -> None:
    plain, purple = await drawn(engine, "a car"), await drawn(engine, "a purple car")
    white = (plain > 250).all(2)
    assert (purple[white] > 245).all()
    assert np.abs(plain.max(2).astype(int) - purple.max(2)).mean() < 6


async def test_each_of_several_things_has_its_own_colour(engine: MiniEngine) -> None:
    picture = await drawn(engine, "a green car and a purple house", size="512x256")
    green, purple = (
        share(half, colour) for half, colour in zip(np.hsplit(picture, 2), ("green", "purple"), strict=True)
    )
    assert min(green, purple) > 0.3


async def test_colours_without_a_hue(engine: MiniEngine) -> None:
    for colour, low, high in (("brown", 60, 150), ("gray", 90, 190), ("black", 0, 90), ("white", 190, 256)):
        body = (await drawn(engine, f"a {colour} car"))[140:170, 90:170].mean()
        assert low <= body < high, colour


async def test_an_edit_has_the_colour_and_the_ground_that_were_asked_for(engine: MiniEngine) -> None:
    before = await drawn(engine, "a car")
    rgba = np.dstack([before, np.full(before.shape[:2], 255, np.uint8)])
    source = Source(pixels=rgba.tobytes(), width=256, height=256)
    blue = await drawn(engine, "a blue car", images=(source,), strength=0.5)
    assert share(blue, "blue") > 0.45
    assert (blue[4:20, 4:-4] > 235).all()
    on_pink = await drawn(engine, "a car on a pink background", images=(source,), strength=0.5)
    assert share(on_pink[8:32], "pink") > 0.95
    # The car is what it is without.
    plain = await drawn(engine, "a car", images=(source,), strength=0.5)
    middle = np.s_[140:170, 90:170]
    assert np.abs(plain[middle].astype(int) - on_pink[middle]).mean() < 4
