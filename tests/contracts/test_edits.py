"""What every Engine whose card says "edit", "mask" or "vary" promises, asked of each one that there is."""

import json
import os
from collections.abc import AsyncIterator, Callable
from importlib.resources import files
from typing import Any

import PIL.Image
import pytest

from limner.engine import Engine
from limner.sources import Source
from limner.types import Image, ImageRequest, Preview, Progress
from tests.fakes import GradientEngine


def mini() -> Engine:
    from limner.engines.mini import MiniEngine

    return MiniEngine(threads=1)


def mini_cannot() -> bool:
    card = files("limner") / "mini" / "card.json"
    return not card.is_file() or "encoder.onnx" not in json.loads(card.read_text())["files"]


NO_ENCODER = pytest.mark.skipif(mini_cannot(), reason="src/limner/mini holds no weights that read pictures")
MAKERS: dict[str, Callable[[], Engine]] = {"gradient": GradientEngine, "mini": mini}


@pytest.fixture(params=["gradient", pytest.param("mini", marks=NO_ENCODER)])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with MAKERS[request.param]() as opened:
        yield opened


def noise(width: int, height: int) -> PIL.Image.Image:
    """A picture whose every pixel would tell if it had been drawn anew."""
    return PIL.Image.frombytes("RGB", (width, height), os.urandom(3 * width * height))


def source(picture: PIL.Image.Image) -> Source:
    return Source(pixels=picture.convert("RGBA").tobytes(), width=picture.width, height=picture.height)


def mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> PIL.Image.Image:
    marked = PIL.Image.new("L", size)
    marked.paste(255, box)
    return marked


def wish(engine: Engine, picture: PIL.Image.Image, prompt: str = "a cat", **wishes: Any) -> ImageRequest:
    return engine.cards()[0].request(
        prompt, **{"images": (source(picture),), "num_inference_steps": 2, "seed": 7} | wishes
    )


async def drawn(engine: Engine, request: ImageRequest) -> PIL.Image.Image:
    (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
    assert (image.width, image.height) == (request.width, request.height)
    return PIL.Image.frombytes("RGB", (image.width, image.height), image.data)


@pytest.mark.parametrize(
    ("size", "box"),
    [((200, 120), (0, 0, 100, 120)), ((96, 300), (40, 250, 50, 260)), ((64, 64), (63, 63, 64, 64)),
     ((300, 200), (0, 0, 300, 200)), ((130, 90), (0, 40, 130, 41))],
)  # fmt: skip
async def test_what_the_mask_keeps_is_equal_and_the_rest_is_not(
    engine: Engine, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    before, marked = noise(*size), mask(size, box)
    after = await drawn(engine, wish(engine, before, mask=marked.tobytes()))
    assert PIL.Image.composite(before, after, marked).tobytes() == before.tobytes()
    assert after.crop(box).tobytes() != before.crop(box).tobytes()


@pytest.mark.parametrize("size", ["64x64", "300x100", "100x300"])
@pytest.mark.parametrize("masked", [False, True])
async def test_any_size_from_any_picture(engine: Engine, size: str, masked: bool) -> None:
    before = noise(150, 90)
    marked = mask(before.size, (20, 20, 90, 80)).tobytes() if masked else None
    await drawn(engine, wish(engine, before, size=size, mask=marked))


@pytest.mark.parametrize("count", [2, 5, 16])
@pytest.mark.parametrize("masked", [False, True])
async def test_several_pictures(engine: Engine, count: int, masked: bool) -> None:
    pictures = tuple(source(noise(40 + 10 * index, 50)) for index in range(count))
    marked = mask((40, 50), (10, 10, 30, 40)).tobytes() if masked else None
    await drawn(engine, wish(engine, noise(1, 1), images=pictures, mask=marked, size="128x96"))


async def test_a_variation_needs_no_prompt(engine: Engine) -> None:
    assert (await drawn(engine, wish(engine, noise(80, 80), ""))).size == (80, 80)


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0])
async def test_progress_counts_the_steps_that_are_taken(engine: Engine, strength: float) -> None:
    request = wish(engine, noise(64, 64), num_inference_steps=8, strength=strength, n=2, partial_images=3)
    events = [event async for event in engine.generate(request)]
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in steps] == list(range(1, len(steps) + 1))
    assert {event.total for event in steps} == {len(steps)}
    assert sum(isinstance(event, Image) for event in events) == 2
    assert all(event.image.width == 64 for event in events if isinstance(event, Preview))


async def test_the_same_edit_gives_the_same_bytes(engine: Engine) -> None:
    before = noise(96, 64)
    assert (await drawn(engine, wish(engine, before))).tobytes() == (
        await drawn(engine, wish(engine, before))
    ).tobytes()


@NO_ENCODER
async def test_less_strength_keeps_more_of_the_picture() -> None:
    """The embedded model itself: what it makes of a drawing of its own."""
    async with mini() as engine:
        card = engine.cards()[0]
        before = await drawn(engine, card.request("a red apple", seed=7, num_inference_steps=8))
        far = []
        for strength in (0.0, 0.5, 1.0):
            request = wish(engine, before, "a blue car", strength=strength, num_inference_steps=8, seed=3)
            after = await drawn(engine, request)
            pairs = zip(before.tobytes(), after.tobytes(), strict=True)
            far.append(sum(abs(a - b) for a, b in pairs) / len(before.tobytes()))
    assert far[0] < far[1] < far[2]
    assert far[0] < 16


async def test_what_a_mask_keeps_of_a_transparent_picture_stays_too(engine: Engine) -> None:
    if "transparent" not in engine.cards()[0].abilities:
        pytest.skip(f"{type(engine).__name__} draws no transparent background")
    picture = PIL.Image.frombytes("RGBA", (128, 96), os.urandom(4 * 128 * 96))
    before = Source(pixels=picture.tobytes(), width=128, height=96)
    marked = mask((128, 96), (64, 0, 128, 96))
    request = engine.cards()[0].request(
        "a cat", images=(before,), mask=marked.tobytes(), background="transparent", num_inference_steps=2, seed=7
    )
    images = [event async for event in engine.generate(request) if isinstance(event, Image)]
    after = PIL.Image.frombytes("RGBA", (images[0].width, images[0].height), images[0].data)
    kept = (0, 0, 64, 96)
    assert after.crop(kept).tobytes() == picture.crop(kept).tobytes()
    assert after.tobytes() != picture.tobytes()
