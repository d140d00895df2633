"""Equal requests with a seed: drawn once while they come together, kept for when they come again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from typing import Any

import pytest

from limner.engine import Engine
from limner.errors import EngineError, QueueFullError
from limner.loras import Lora
from limner.sources import Source
from limner.studio import Studio
from limner.types import Event, Image, ImageRequest, Preview
from tests.fakes import CARD, GradientEngine
from tests.unit.test_studio import GatedEngine, settled

SEEDED: dict[str, Any] = {"size": "64x64", "num_inference_steps": 2, "seed": 7}


@contextlib.asynccontextmanager
async def open_studio(engine: Engine, **options: Any) -> AsyncIterator[Studio]:
    async with Studio([engine], **{"single_flight": True, "cache_bytes": 10_000_000} | options) as studio:
        yield studio


async def ask(studio: Studio, **wishes: Any) -> tuple[str, list[Event]]:
    drawing = studio.draw(studio.request(None, "a cat", SEEDED | wishes))
    return drawing.origin, [event async for event in drawing.events()]


def pictures(events: list[Event]) -> list[Image]:
    return [event for event in events if isinstance(event, Image)]


async def test_a_repeat_is_answered_from_memory() -> None:
    engine = GradientEngine()
    async with open_studio(engine) as studio:
        (first, drawn), (again, kept) = await ask(studio), await ask(studio)
        assert (first, again) == ("miss", "hit")
        assert pictures(kept) == pictures(drawn)
        assert engine.stepped == 2
        assert (studio.tally.origins["hit"], studio.tally.origins["miss"]) == (1, 1)


@pytest.mark.parametrize("seed", [None, -1])
async def test_without_a_seed_nothing_is_shared(seed: int | None) -> None:
    engine = GradientEngine()
    async with open_studio(engine) as studio:
        (first, drawn), (again, other) = await ask(studio, seed=seed), await ask(studio, seed=seed)
        assert (first, again) == ("off", "off")
        assert pictures(drawn)[0].data != pictures(other)[0].data
        # Nor is it kept for whoever names the seed that was drawn.
        assert (await ask(studio, seed=pictures(drawn)[0].seed))[0] == "miss"
        assert engine.stepped == 6


async def test_equal_ones_that_come_together_are_drawn_once() -> None:
    engine = GatedEngine()
    async with open_studio(engine, max_queue=0) as studio:
        asking = [asyncio.create_task(ask(studio)) for _ in range(5)]
        await settled()
        engine.gate.set()
        answers = await asyncio.gather(*asking)
    assert [origin for origin, _ in answers] == ["miss", *["joined"] * 4]
    assert len({pictures(events)[0].data for _, events in answers}) == 1
    assert engine.served == ["a cat"]


@pytest.mark.parametrize("who", [0, 1])
async def test_who_leaves_does_not_stop_the_others_and_the_last_one_does(who: int) -> None:
    engine = GatedEngine()
    async with open_studio(engine) as studio:
        asking = [asyncio.create_task(ask(studio)) for _ in range(3)]
        await settled()
        asking[who].cancel()
        await settled()
        engine.gate.set()
        rest = [task for index, task in enumerate(asking) if index != who]
        for origin, events in await asyncio.gather(*rest):
            assert origin in ("miss", "joined")
            assert pictures(events)
        assert engine.stepped == 2

        engine.gate.clear()
        leaving = [asyncio.create_task(ask(studio, seed=8)) for _ in range(3)]
        await settled()
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await settled()
        assert engine.stepped == 2
        assert studio.tally.requests[CARD.id, "cancelled"] == 1
        # What was stopped is neither joined nor kept.
        engine.gate.set()
        assert (await ask(studio, seed=8))[0] == "miss"


async def test_a_failure_comes_to_all_and_is_not_kept() -> None:
    engine = GradientEngine()
    async with open_studio(engine) as studio:

        def explode() -> Any:
            return studio.generate(studio.request(None, "explode", SEEDED | {"num_inference_steps": 4}))

        async def fail() -> None:
            with pytest.raises(EngineError):
                [event async for event in explode()]

        await asyncio.gather(fail(), fail())
        stepped = engine.stepped
        await fail()
        assert engine.stepped > stepped
        assert len(studio.cache) == 0


async def test_a_picture_of_several_is_known_alone() -> None:
    engine = GradientEngine()
    async with open_studio(engine) as studio:
        _, drawn = await ask(studio, n=3)
        origin, kept = await ask(studio, n=2, seed=8)
        assert origin == "hit"
        assert [image.index for image in pictures(kept)] == [0, 1]
        assert [image.data for image in pictures(kept)] == [image.data for image in pictures(drawn)][1:]
        assert [image.seed for image in pictures(kept)] == [8, 9]
        # Where one is missing all are drawn.
        assert (await ask(studio, n=4))[0] == "miss"


async def test_previews_do_not_matter_to_what_is_kept_and_do_to_what_is_joined() -> None:
    engine = GatedEngine()
    async with open_studio(engine) as studio:
        plain = asyncio.create_task(ask(studio))
        watched = asyncio.create_task(ask(studio, partial_images=1))
        await settled()
        engine.gate.set()
        assert (await plain)[0] == (await watched)[0] == "miss"
        assert any(isinstance(event, Preview) for event in (await watched)[1])
        origin, events = await ask(studio, partial_images=3)
        assert origin == "hit"
        assert len(events) == 1


SOURCE = Source(pixels=bytes(64 * 64 * 4), width=64, height=64)
OTHER = Source(pixels=bytes([1]) + bytes(64 * 64 * 4 - 1), width=64, height=64)
# For every field of a request, two values of it. A new field stands here, or says why it may not change the bytes.
VALUES: dict[str, tuple[Any, Any]] = {
    "prompt": ("a cat", "a dog"),
    "negative_prompt": ("", "blur"),
    "width": (64, 65),
    "height": (64, 65),
    "num_inference_steps": (2, 3),
    "guidance_scale": (1.0, 1.5),
    "seed": (7, 8),
    "output_format": ("png", "webp"),
    "output_compression": (100, 50),
    "quality": ("medium", "low"),
    "images": ((SOURCE,), (OTHER,)),
    "mask": (bytes(64 * 64), bytes([255]) * (64 * 64)),
    "strength": (1.0, 0.5),
    "background": ("opaque", "transparent"),
    "scheduler": ("", "heun"),
}
# `model` and `loras` have tests of their own; the rest does not change a picture.
WITHOUT = {"model", "loras", "n", "partial_images", "seeded"}


def test_every_field_has_a_case() -> None:
    assert {field.name for field in fields(ImageRequest)} == set(VALUES) | WITHOUT


@pytest.mark.parametrize("name", VALUES)
async def test_whatever_changes_the_bytes_is_another_picture(name: str) -> None:
    async with open_studio(GradientEngine()) as studio:
        base = replace(studio.request(None, "a cat", SEEDED), images=(SOURCE,), mask=bytes(64 * 64))
        one, other = (replace(base, **{name: value}) for value in VALUES[name])
        assert [studio.draw(request).origin for request in (one, other)] == ["miss", "miss"]
        held = [[event async for event in studio.generate(request)] for request in (one,)]
        assert held
        assert studio.draw(one).origin == "hit"
        assert studio.draw(other).origin == "miss"


async def test_another_model_other_weights_or_other_metadata_are_another_picture() -> None:
    names: set[str] = set()
    for card, metadata in (
        (CARD, "full"),
        (CARD, "none"),
        (replace(CARD, id="other"), "full"),
        (replace(CARD, weights="ba9876543210"), "full"),
    ):
        engine = GatedEngine()
        engine.card = card
        engine.gate.set()
        async with open_studio(engine, metadata=metadata) as studio:
            [event async for event in studio.generate(studio.request(card.id, "a cat", SEEDED))]
            names |= set(vars(studio.cache)["_kept"])
    assert len(names) == 4


async def test_loras_are_not_shared_for_their_files_may_change() -> None:
    async with open_studio(GradientEngine()) as studio:
        request = replace(studio.request(None, "a cat", SEEDED), loras=(Lora(name="watercolour"),))
        assert [studio.draw(request).origin for _ in range(2)] == ["off", "off"]


async def test_each_can_be_switched_off() -> None:
    engine = GatedEngine()
    async with open_studio(engine, cache_bytes=0) as studio:
        asking = [asyncio.create_task(ask(studio)) for _ in range(2)]
        await settled()
        engine.gate.set()
        assert [origin for origin, _ in await asyncio.gather(*asking)] == ["miss", "joined"]
        assert (await ask(studio))[0] == "miss"
    engine = GatedEngine()
    async with open_studio(engine, single_flight=False) as studio:
        asking = [asyncio.create_task(ask(studio)) for _ in range(2)]
        await settled()
        engine.gate.set()
        assert [origin for origin, _ in await asyncio.gather(*asking)] == ["miss", "miss"]
        assert (await ask(studio))[0] == "hit"
    async with open_studio(GradientEngine(), single_flight=False, cache_bytes=0) as studio:
        assert [(await ask(studio))[0] for _ in range(2)] == ["off", "off"]


async def test_memory_stays_within_its_limit() -> None:
    async with open_studio(GradientEngine(), cache_bytes=10_000) as studio:
        for seed in range(20):
            await ask(studio, seed=seed)
            assert studio.cache.held <= 10_000
        assert (await ask(studio, seed=19))[0] == "hit"
        assert (await ask(studio, seed=0))[0] == "miss"
        assert studio.cache.evicted


async def test_a_hit_needs_no_place_in_the_line() -> None:
    engine = GatedEngine()
    engine.gate.set()
    async with open_studio(engine, max_queue=0) as studio:
        await ask(studio)
        engine.gate.clear()
        held = asyncio.create_task(ask(studio, seed=8))
        await settled()
        with pytest.raises(QueueFullError):
            await ask(studio, seed=9)
        assert (await ask(studio))[0] == "hit"
        engine.gate.set()
        await held


async def test_what_nobody_reads_is_forgotten() -> None:
    async with open_studio(GradientEngine()) as studio:
        studio.draw(studio.request(None, "a cat", SEEDED))
        assert len(vars(studio)["_flights"]) == 0


async def test_a_warm_up_learns_the_pace_and_gives_way() -> None:
    engine = GradientEngine()
    warm = replace(CARD, warm_up=True)
    engine.cards = lambda: [warm]  # type: ignore[method-assign]
    async with Studio([engine]) as studio:
        await studio.warm_up()
        assert engine.stepped == 2
        assert studio.easels()[0].seconds(studio.request(None, "a cat", SEEDED)) < 0.5
    gated = GatedEngine()
    gated.card = warm
    async with Studio([gated]) as studio:
        warming = asyncio.create_task(studio.warm_up())
        await settled()
        asked = asyncio.create_task(ask(studio, num_inference_steps=4))
        await settled()
        gated.gate.set()
        await asyncio.gather(warming, asked)
        # One step, seen that somebody waits, and the four that were asked for.
        assert gated.stepped == 5


async def test_no_warm_up_where_the_card_says_none() -> None:
    engine = GradientEngine()
    async with Studio([engine]) as studio:
        await studio.warm_up()
        assert engine.stepped == 0
