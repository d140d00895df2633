"""The Studio: who may wait, who is refused, who answers to a name, and what comes out."""

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import PIL.Image
import pytest

from limner import codecs
from limner.errors import EngineError, InvalidRequestError, ModelNotFoundError, NotReadyError, QueueFullError
from limner.studio import Studio
from limner.types import Event, Image, ImageRequest, Progress
from tests.conftest import soon
from tests.fakes import CARD, GradientEngine


class GatedEngine(GradientEngine):
    """Begins no step until the gate is opened, so that a test decides who waits."""

    def __init__(self, model: str = CARD.id, concurrency: int = 1) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.card = replace(CARD, id=model, concurrency=concurrency)
        # Prompts in the order in which they came to the engine.
        self.served: list[str] = []

    def cards(self) -> list:
        return [self.card]

    async def generate(self, request: ImageRequest) -> AsyncIterator[Event]:
        self.served.append(request.prompt)
        await self.gate.wait()
        async with contextlib.aclosing(super().generate(request)) as events:
            async for event in events:
                yield event


async def run(studio: Studio, prompt: str = "a cat", model: str | None = None, **wishes: object) -> list[Event]:
    wishes = {"size": "64x64", "num_inference_steps": 1, "seed": 7} | wishes
    return [event async for event in studio.generate(studio.request(model, prompt, wishes))]


async def settled() -> None:
    """Let every task come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def crowd() -> AsyncIterator[tuple[Studio, GatedEngine, list[asyncio.Task[list[Event]]]]]:
    """A studio where one request is at the engine and two wait, which is all that may."""
    engine = GatedEngine()
    async with Studio([engine], max_queue=2) as studio:
        tasks = [asyncio.create_task(run(studio, prompt)) for prompt in ("first", "second", "third")]
        await settled()
        yield studio, engine, tasks
        engine.gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_full_queue_refuses_and_says_when_to_come_again(crowd) -> None:
    studio, engine, tasks = crowd
    assert studio.waiting == 2
    with pytest.raises(QueueFullError) as caught:
        await run(studio, "one too many")
    assert caught.value.status == 429
    assert 1 <= caught.value.retry_after <= 120
    engine.gate.set()
    assert all(isinstance(events[-1], Image) for events in await asyncio.gather(*tasks))
    assert engine.served == ["first", "second", "third"]
    assert studio.waiting == 0


async def test_the_bound_is_off_when_the_queue_is_long_enough() -> None:
    """The guard above refuses because of its bound and for no other reason."""
    engine = GatedEngine()
    async with Studio([engine], max_queue=3) as studio:
        tasks = [asyncio.create_task(run(studio)) for _ in range(4)]
        await settled()
        engine.gate.set()
        assert len(await asyncio.gather(*tasks)) == 4


async def test_the_wait_that_is_told_stays_below_what_clients_accept() -> None:
    """openai-python does not try again at all when told to wait for more than 120 s."""
    engine = GatedEngine()
    async with Studio([engine], max_queue=500, max_wait=1000) as studio:
        tasks = [asyncio.create_task(run(studio)) for _ in range(501)]
        await settled()
        with pytest.raises(QueueFullError) as caught:
            await run(studio)
        assert caught.value.retry_after == 120
        engine.gate.set()
        await asyncio.gather(*tasks)


async def test_a_cancelled_waiter_gives_its_place_back(crowd) -> None:
    studio, engine, tasks = crowd
    tasks[1].cancel()
    await settled()
    assert studio.waiting == 1
    late = asyncio.create_task(run(studio, "late"))
    await settled()
    assert studio.waiting == 2
    engine.gate.set()
    await asyncio.gather(tasks[0], tasks[2], late)
    assert engine.served == ["first", "third", "late"]


async def test_a_cancelled_request_lets_the_next_one_on(crowd) -> None:
    _, engine, tasks = crowd
    tasks[0].cancel()
    await settled()
    assert engine.served == ["first", "second"]
    engine.gate.set()
    await asyncio.gather(*tasks[1:])


async def test_a_closed_iterator_stops_the_engine_and_frees_the_turn() -> None:
    engine = GradientEngine()
    async with Studio([engine]) as studio:
        events = studio.generate(studio.request(None, "a cat", {"num_inference_steps": 50}))
        assert isinstance(await anext(events), Progress)
        await events.aclose()
        assert engine.stepped <= 2
        assert isinstance((await run(studio))[-1], Image)


async def test_a_failed_request_lets_the_next_one_on() -> None:
    async with Studio([GradientEngine()], max_queue=0) as studio:
        for _ in range(3):
            with pytest.raises(EngineError):
                await run(studio, "explode", num_inference_steps=4)
        assert isinstance((await run(studio))[-1], Image)


async def test_engines_do_not_wait_for_each_other() -> None:
    slow, quick = GatedEngine("slow"), GatedEngine("quick")
    quick.gate.set()
    async with Studio([slow, quick], max_queue=0) as studio:
        held = asyncio.create_task(run(studio, model="slow"))
        await settled()
        assert isinstance((await run(studio, model="quick"))[-1], Image)
        slow.gate.set()
        await held


async def test_the_next_one_is_let_on_while_files_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, gate = GradientEngine(), threading.Event()
    encode = codecs.encode

    def late(*given: Any, **named: Any) -> Image:
        assert gate.wait(10)
        return encode(*given, **named)

    monkeypatch.setattr(codecs, "encode", late)
    async with Studio([engine]) as studio:
        first = asyncio.create_task(run(studio, "first"))
        second = asyncio.create_task(run(studio, "second"))
        await soon(lambda: len(engine.asked) == 2)
        assert not first.done()
        gate.set()
        assert all(isinstance(events[-1], Image) for events in await asyncio.gather(first, second))


async def test_an_engine_that_draws_several_at_once_gets_as_many() -> None:
    engine = GatedEngine(concurrency=3)
    async with Studio([engine], max_queue=2) as studio:
        tasks = [asyncio.create_task(run(studio, str(index))) for index in range(5)]
        await settled()
        assert engine.served == ["0", "1", "2"]
        assert studio.waiting == 2
        with pytest.raises(QueueFullError):
            await run(studio)
        engine.gate.set()
        assert all(isinstance(events[-1], Image) for events in await asyncio.gather(*tasks))
    assert engine.served == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("name", [None, "", "limner-mini", "flux", "dall-e-3", "gpt-image-1"])
async def test_who_answers_to_a_name(name: str | None) -> None:
    studio = Studio([GradientEngine()])
    assert studio.request(name, "a cat", {}).model == "limner-mini"


async def test_an_alias_goes_to_the_best_model_that_is_there() -> None:
    aliases = {"flux": ("flux-real", "limner-mini"), "other": ("not-here",)}
    assert Studio([GradientEngine()], aliases=aliases).card("flux").id == "limner-mini"
    studio = Studio([GradientEngine(), GatedEngine("flux-real")], aliases=aliases)
    assert studio.card("flux").id == "flux-real"
    assert set(studio.names()) == {"limner-mini", "flux-real", "flux"}


async def test_an_alias_never_hides_a_model_of_that_name() -> None:
    studio = Studio([GradientEngine(), GatedEngine("flux")])
    assert studio.card("flux").id == "flux"


@pytest.mark.parametrize(("name", "near"), [("limner-minni", "limner-mini"), ("dalle3", "dall-e-3"), ("zzz", "flux")])
async def test_an_unknown_model_is_told_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        Studio([GradientEngine()]).card(name)
    assert near in caught.value.message
    assert (caught.value.param, caught.value.code, caught.value.status) == ("model", "model_not_found", 404)


async def test_a_wish_is_checked_before_anything_waits() -> None:
    with pytest.raises(InvalidRequestError):
        Studio([GradientEngine()]).request("flux", "a cat", {"n": 99})


async def test_nothing_is_served_before_it_opens_or_after_it_closes() -> None:
    studio = Studio([GradientEngine()])
    with pytest.raises(NotReadyError) as caught:
        await run(studio)
    assert 1 <= caught.value.retry_after <= 120
    async with studio:
        assert studio.ready
    with pytest.raises(NotReadyError):
        await run(studio)


@pytest.mark.parametrize(
    ("output_format", "mime", "kind"),
    [("png", "image/png", "PNG"), ("jpeg", "image/jpeg", "JPEG"), ("webp", "image/webp", "WEBP")],
)
async def test_pictures_come_encoded_as_asked(output_format: str, mime: str, kind: str) -> None:
    async with Studio([GradientEngine()]) as studio:
        events = await run(studio, output_format=output_format, size="100x75", n=2)
    made = [event for event in events if isinstance(event, Image)]
    assert [(image.index, image.seed, image.mime) for image in made] == [(0, 7, mime), (1, 8, mime)]
    for image in made:
        with PIL.Image.open(io.BytesIO(image.data)) as picture:
            assert (picture.format, picture.size) == (kind, (100, 75))


@pytest.mark.parametrize(("metadata", "told"), [("full", True), ("provenance", False), ("none", False)])
async def test_the_recipe_is_in_the_picture_unless_switched_off(metadata: str, told: bool) -> None:
    async with Studio([GradientEngine()], metadata=metadata) as studio:
        image = (await run(studio, "a very private cat"))[-1]
    assert (b"a very private cat" in image.data) is told
    assert (b"trainedAlgorithmicMedia" in image.data) is (metadata != "none")


async def test_engines_that_can_load_early_do() -> None:
    class Early(GatedEngine):
        told = 0

        def preload(self) -> None:
            self.told += 1

    early, plain = Early("early"), GatedEngine("plain")
    studio = Studio([early, plain])
    assert early.told == 0
    studio.preload()
    assert early.told == 1
