"""Models come into memory once, leave it when idle, and make room for each other; time is the test's own."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Self

import pytest

from limner.errors import EngineError, LimnerError, NotReadyError
from limner.models.residency import COOLDOWN, Residency, Resident
from limner.types import Event, Image, ImageRequest, Progress
from tests.fakes import CARD, picture

GB = 10**9


class Heavy:
    """An engine that tells when it is opened and closed, and draws when it is let."""

    def __init__(self, world: "World", name: str) -> None:
        self.world, self.name = world, name

    def cards(self) -> list[object]:
        return []

    async def __aenter__(self) -> Self:
        self.world.opened.append(self.name)
        await self.world.may_open.wait()
        if self.name in self.world.broken:
            raise EngineError("its file is rotten", code="model_corrupt")
        self.world.open.add(self.name)
        self.world.most = max(self.world.most, len(self.world.open))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(0)
        self.world.open.remove(self.name)
        self.world.closed.append(self.name)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        assert self.name in self.world.open
        yield Progress(step=1, total=1)
        await self.world.may_draw.wait()
        assert self.name in self.world.open, "closed while it drew"
        yield picture(request, 0)


class World:
    """What happened, and what may happen. `now` is the clock."""

    def __init__(self, budget: int = 10 * GB, keep_alive: float = 300.0) -> None:
        self.now = 0.0
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.open: set[str] = set()
        self.broken: set[str] = set()
        self.most = 0
        self.may_open, self.may_draw = asyncio.Event(), asyncio.Event()
        self.may_open.set()
        self.may_draw.set()
        self.house = Residency(budget=budget, keep_alive=keep_alive, clock=lambda: self.now)

    def model(self, name: str, memory: int = 4 * GB) -> Resident:
        return self.house.resident(replace(CARD, id=name), memory, lambda: Heavy(self, name))  # type: ignore[arg-type,return-value]


async def draw(model: Resident) -> Image:
    request = model.card.request("a cat", seed=1, size="64x64")
    async with aclosing(model.generate(request)) as events:
        return [event async for event in events][-1]  # type: ignore[return-value]


async def eventually(true: Callable[[], bool]) -> None:
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0.001)


async def test_nothing_is_opened_before_it_is_asked_for() -> None:
    world = World()
    model = world.model("a")
    async with model:
        assert [card.id for card in model.cards()] == ["a"]
        assert not model.state().loaded
        assert world.opened == []
        assert isinstance(await draw(model), Image)
        assert model.state().loaded
        assert world.house.taken == 4 * GB
    assert world.closed == ["a"]
    assert world.house.taken == 0


async def test_many_first_requests_open_it_once() -> None:
    world = World()
    model = world.model("a")
    world.may_open.clear()
    asking = [asyncio.create_task(draw(model)) for _ in range(50)]
    await settle()
    assert (world.opened, model.state().requests) == (["a"], 50)
    world.may_open.set()
    assert len(await asyncio.gather(*asking)) == 50
    assert world.opened == ["a"]


async def test_one_who_hangs_up_does_not_take_it_from_the_others() -> None:
    world = World()
    model = world.model("a")
    world.may_open.clear()
    first, second = asyncio.create_task(draw(model)), asyncio.create_task(draw(model))
    await settle()
    first.cancel()
    await settle()
    world.may_open.set()
    await second
    assert world.opened == ["a"]
    assert model.state().requests == 0


async def test_an_idle_model_is_unloaded_and_comes_back() -> None:
    world = World(keep_alive=0.02)
    model = world.model("a")
    await draw(model)
    async with asyncio.timeout(5):
        await eventually(lambda: not model.state().loaded and not world.house.taken)
    assert world.closed == ["a"]
    await draw(model)
    assert world.opened == ["a", "a"]


async def test_a_model_in_use_is_not_unloaded() -> None:
    world = World(keep_alive=0.0)
    model = world.model("a")
    world.may_draw.clear()
    asking = asyncio.create_task(draw(model))
    await settle()
    await model.close()
    assert model.state().loaded
    world.may_draw.set()
    await asking
    await settle()
    assert not model.state().loaded


async def test_the_longest_unused_makes_room() -> None:
    world = World(budget=10 * GB)
    a, b, c = (world.model(name) for name in "abc")
    for model in (a, b):
        world.now += 1
        await draw(model)
    world.now += 1
    await draw(a)
    await draw(c)
    assert world.closed == ["b"]
    assert world.open == {"a", "c"}
    assert world.most == 2


async def test_who_finds_no_room_waits_for_those_in_use() -> None:
    world = World(budget=5 * GB)
    a, b = world.model("a"), world.model("b")
    world.may_draw.clear()
    first, second = asyncio.create_task(draw(a)), asyncio.create_task(draw(b))
    await settle()
    assert world.open == {"a"}
    world.may_draw.set()
    await asyncio.gather(first, second)
    assert world.most == 1
    assert world.opened == ["a", "b"]


async def test_what_can_never_fit_is_refused_with_the_limit() -> None:
    world = World(budget=3 * GB)
    with pytest.raises(EngineError, match=r"needs 4.0 GB of memory, and models may take 3.0 GB") as raised:
        await draw(world.model("a"))
    assert raised.value.code == "insufficient_memory"
    assert world.opened == []


async def test_a_model_that_cannot_be_opened_is_not_tried_by_everyone() -> None:
    world = World()
    model = world.model("a")
    world.broken.add("a")
    results = await asyncio.gather(*(draw(model) for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {EngineError}
    assert world.opened == ["a"]
    assert world.house.taken == 0
    with pytest.raises(NotReadyError, match="rotten") as raised:
        await draw(model)
    assert (raised.value.code, raised.value.retry_after) == ("model_corrupt", COOLDOWN)
    assert world.opened == ["a"]
    world.now += COOLDOWN
    world.broken.clear()
    await draw(model)


async def test_dismissed_now_or_after_the_last_picture() -> None:
    world = World()
    model = world.model("a")
    assert not await model.dismiss()
    await draw(model)
    assert await model.dismiss()
    assert not model.state().loaded
    world.may_draw.clear()
    asking = asyncio.create_task(draw(model))
    await settle()
    assert await model.dismiss()
    assert model.state().loaded
    world.may_draw.set()
    await asking
    await settle()
    assert not model.state().loaded


async def test_a_hundred_requests_in_disorder_leave_nothing_behind() -> None:
    world = World(budget=9 * GB, keep_alive=0.0)
    models = [world.model(name) for name in "abcde"]

    async def one(index: int) -> None:
        task = asyncio.create_task(draw(models[index * 7 % 5]))
        if index % 3 == 0:
            await asyncio.sleep(0.001 * (index % 5))
            task.cancel()
        with suppress(asyncio.CancelledError, LimnerError):
            await task

    async with asyncio.timeout(20):
        await asyncio.gather(*(one(index) for index in range(100)))
        await eventually(lambda: not world.open)
    assert world.most <= 2
    assert world.house.taken == 0
    assert sorted(world.opened) == sorted(world.closed)
