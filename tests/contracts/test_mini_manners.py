"""What the seed chooses where a prompt does not say: the manner of drawing, and which way a thing looks."""

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


def pixels_of(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(float)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference of two pictures, of 255."""
    return float(np.abs(one - other).mean())


async def test_pictures_of_one_request_differ_and_say_how(engine: MiniEngine) -> None:
    pictures = await drawn(engine, "a cat", n=4, seed=0)
    assert [picture.prompt for picture in pictures] == ["a cat, flat", "a cat, 3d", "a cat, cartoon", "a cat, flat"]
    flat, solid, cartoon, turned = (pixels_of(picture) for picture in pictures)
    noise = apart(flat, turned[:, ::-1])
    # Flat and 3D have one outline.
    assert apart(flat, solid) > 1.5 * noise
    assert min(apart(flat, turned), apart(flat, cartoon), apart(flat, cartoon[:, ::-1])) > 4 * noise


async def test_what_has_writing_on_it_is_never_turned(engine: MiniEngine) -> None:
    for thing in ("school", "question mark", "right arrow"):
        first, _, third = await drawn(engine, f"a flat {thing}", n=3, seed=4)
        one, other = pixels_of(first), pixels_of(third)
        assert apart(one, other) < apart(one, other[:, ::-1]), thing


async def test_several_of_one_kind_need_not_look_one_way(engine: MiniEngine) -> None:
    (picture,) = await drawn(engine, "two flat cats", seed=6)
    left, right = np.hsplit(pixels_of(picture), 2)
    assert apart(left, right) > 4 * apart(left, right[:, ::-1])


@pytest.mark.parametrize("seed", [6, 7, 8])
async def test_the_revised_prompt_draws_the_same_picture_again(engine: MiniEngine, seed: int) -> None:
    for prompt in ("a cat", "a cat and two dogs on the beach"):
        (picture,) = await drawn(engine, prompt, seed=seed)
        (again,) = await drawn(engine, picture.prompt, seed=seed)
        assert again.data == picture.data


async def test_a_manner_that_is_named_is_kept_at_any_seed(engine: MiniEngine) -> None:
    pictures = await drawn(engine, "a cartoon cat", n=3, seed=6)
    assert {picture.prompt for picture in pictures} == {"a cat, cartoon"}


async def test_what_was_never_drawn_in_another_manner_is_flat_at_any_seed(engine: MiniEngine) -> None:
    pictures = await drawn(engine, "a harp and a cat", n=3, seed=6)
    assert {picture.prompt for picture in pictures} == {"a harp and a cat, flat"}
