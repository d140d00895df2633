"""Where a prompt names no manner of drawing the seed chooses one, so that pictures of one request differ."""

from collections.abc import AsyncIterator

import numpy as np
import pytest

from limner.engines.mini import MiniEngine
from limner.types import Image


@pytest.fixture
async def engine() -> AsyncIterator[MiniEngine]:
    async with MiniEngine() as opened:
        yield opened


async def drawn(engine: MiniEngine, prompt: str, **wishes: object) -> list[Image]:
    request = engine.cards()[0].request(prompt, size=f"{engine.drawn}x{engine.drawn}", **wishes)
    images = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return sorted(images, key=lambda image: image.index)


def apart(one: Image, other: Image) -> float:
    """Mean difference of two pictures, of 255."""
    pixels = (np.frombuffer(image.data, np.uint8).astype(float) for image in (one, other))
    return float(np.abs(np.subtract(*pixels)).mean())


async def test_pictures_of_one_request_differ_and_say_how(engine: MiniEngine) -> None:
    flat, solid, again, _ = await drawn(engine, "a red apple", n=4, seed=6)
    assert (flat.prompt, solid.prompt) == ("a red apple, flat", "a red apple, 3d")
    assert apart(flat, solid) > 1.5 * apart(flat, again)


@pytest.mark.parametrize("seed", [6, 7])
async def test_the_revised_prompt_draws_the_same_picture_again(engine: MiniEngine, seed: int) -> None:
    for prompt in ("a cat", "a cat and two dogs on the beach"):
        (picture,) = await drawn(engine, prompt, seed=seed)
        (again,) = await drawn(engine, picture.prompt, seed=seed)
        assert again.data == picture.data


async def test_a_manner_that_is_named_is_kept_at_any_seed(engine: MiniEngine) -> None:
    pictures = await drawn(engine, "a cartoon cat", n=3, seed=6)
    assert {picture.prompt for picture in pictures} == {"a cat, cartoon"}


async def test_what_was_never_drawn_in_3d_is_flat_at_any_seed(engine: MiniEngine) -> None:
    pictures = await drawn(engine, "a harp and a cat", n=2, seed=6)
    assert {picture.prompt for picture in pictures} == {"a harp and a cat, flat"}
