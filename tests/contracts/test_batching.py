"""Requests that share denoising steps: the same pixels as alone, no waiting, and nobody disturbed by who leaves."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from importlib.resources import files

import pytest

from limner.engines.mini import MiniEngine
from limner.engines.mini_batch import MOST
from limner.engines.mini_sampler import Sample
from limner.types import Image, ImageRequest, Preview, Progress

pytestmark = pytest.mark.skipif(
    not (files("limner") / "mini" / "card.json").is_file(), reason="src/limner/mini holds no weights yet"
)


class WatchedMini(MiniEngine):
    """limner-mini that keeps how many pictures each step took further."""

    def __init__(self) -> None:
        super().__init__(threads=2)
        self.together: list[int] = []

    def advance(self, samples: Sequence[Sample]) -> None:
        self.together.append(len(samples))
        super().advance(samples)


@pytest.fixture
async def engine() -> AsyncIterator[WatchedMini]:
    async with WatchedMini() as opened:
        yield opened


def wish(engine: MiniEngine, prompt: str = "a cat", **wishes: object) -> ImageRequest:
    return engine.cards()[0].request(prompt, **{"num_inference_steps": 6, "seed": 7, "size": "256x256"} | wishes)


async def picture(engine: MiniEngine, request: ImageRequest) -> bytes:
    return b"".join([e.data async for e in engine.generate(request) if isinstance(e, Image)])


async def test_the_pixels_are_the_same_alone_among_others_and_when_joining_late(engine: WatchedMini) -> None:
    """Each company has other sizes of batch, guidance, steps and prompts; the bytes are the same a hundred times."""
    alone = await picture(engine, wish(engine))
    seen = {alone}
    others = [
        wish(engine, "a dog and a fish", seed=1, guidance_scale=1.0),
        wish(engine, "two rockets at night", seed=2, num_inference_steps=3, guidance_scale=7.5),
        wish(engine, "кот", seed=3, n=3),
        wish(engine, "a house", seed=4, size="512x256"),
        wish(engine, "a red house on the beach", seed=4, size="512x512"),
    ]
    for round_ in range(20):
        company = others[: 1 + round_ % len(others)]
        running = [asyncio.create_task(picture(engine, other)) for other in company]
        # Joins at another step each time.
        for _ in range(round_ % 5):
            await asyncio.sleep(0.004)
        seen |= set(await asyncio.gather(*(picture(engine, wish(engine)) for _ in range(5))))
        await asyncio.gather(*running)
    assert seen == {alone}
    assert max(engine.together) > 2


async def test_requests_of_one_moment_share_their_steps(engine: WatchedMini) -> None:
    await asyncio.gather(*(picture(engine, wish(engine, seed=seed)) for seed in range(4)))
    assert sum(engine.together) == 4 * 6
    # One may have begun before the others were there.
    assert len(engine.together) < 6 + 6


async def test_the_pictures_of_one_request_are_one_batch(engine: WatchedMini) -> None:
    await picture(engine, wish(engine, n=3))
    assert engine.together == [3] * 6


async def test_more_than_fit_are_drawn_all_the_same(engine: WatchedMini) -> None:
    request = wish(engine, n=10, num_inference_steps=2)
    indices = [e.index async for e in engine.generate(request) if isinstance(e, Image)]
    assert indices == list(range(10))
    assert max(engine.together) == MOST


async def test_one_that_leaves_does_not_disturb_the_other(engine: WatchedMini) -> None:
    alone = await picture(engine, wish(engine))
    engine.together.clear()
    leaving = engine.generate(wish(engine, "a dog", num_inference_steps=50))
    staying = asyncio.create_task(picture(engine, wish(engine)))
    async for event in leaving:
        if isinstance(event, Progress) and event.step == 3:
            break
    await leaving.aclose()
    assert await staying == alone
    assert sum(engine.together) <= 3 + 2 + 6


async def test_a_reader_that_does_not_read_holds_up_nobody_but_itself(engine: WatchedMini) -> None:
    idle = engine.generate(wish(engine, "a dog", num_inference_steps=50))
    await anext(idle)
    engine.together.clear()
    assert await picture(engine, wish(engine))
    # The idle one's events pile up no further than a step or two ahead of it.
    assert sum(engine.together) <= 6 + 3
    await idle.aclose()


async def test_an_understood_prompt_is_told_and_the_same_in_any_language(engine: WatchedMini) -> None:
    told = set()
    for prompt in ("a cat", "кот", "un gato", "猫", "eine Katze", "قطة"):
        async for event in engine.generate(wish(engine, prompt)):
            if isinstance(event, Image):
                told.add((event.prompt, event.data))
    assert len(told) == 1
    assert {prompt for prompt, _ in told} == {"a cat, 3d"}


@pytest.mark.parametrize("prompt", ["a cat and a dog", "two cats", "a small robot on the left", "a house in the snow"])
async def test_a_scene_of_several_things_is_one_picture(engine: WatchedMini, prompt: str) -> None:
    """Drawn one by one and laid out: still one picture a request and index, previews too, the same bytes each time."""
    request = wish(engine, prompt, n=2, partial_images=1)
    events = [event async for event in engine.generate(request)]
    images = [event for event in events if isinstance(event, Image)]
    assert [image.index for image in images] == [0, 1]
    assert images[0].data != images[1].data
    assert [e.image.index for e in events if isinstance(e, Preview)] == [0, 1]
    steps = [(e.step, e.total) for e in events if isinstance(e, Progress)]
    assert steps == [(step + 1, len(steps)) for step in range(len(steps))]
    again = await picture(engine, wish(engine, prompt, n=2))
    assert again == images[0].data + images[1].data


@pytest.mark.parametrize(
    "wishes",
    [{}, {"negative_prompt": "xqzzv kjwvq wxxkj zvqqw " * 4}, {"guidance_scale": 1.0}, {"partial_images": 1}],
    ids=str,
)
async def test_a_long_prompt_of_which_nothing_is_known_is_drawn(engine: WatchedMini, wishes: dict[str, object]) -> None:
    """It is padded to the longer length, and its negative prompt with it; beside others too."""
    long = wish(engine, "xqzzv kjwvq wxxkj zvqqw " * 4, **wishes)
    alone = await picture(engine, long)
    beside = await asyncio.gather(picture(engine, long), picture(engine, wish(engine)), picture(engine, long))
    assert beside[0] == beside[2] == alone
    assert beside[1] == await picture(engine, wish(engine))
