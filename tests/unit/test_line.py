"""The line at an engine, by a clock that the test turns: who is next, how long it takes, who is refused."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from limner.errors import QueueFullError
from limner.line import PATIENCE, Line
from tests.unit.test_studio import settled


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Crowd:
    """Requests by name: each holds its place until it is let go."""

    def __init__(self, places: int = 1, *, max_queue: int = 100, max_wait: float = 1000.0) -> None:
        self.clock = Clock()
        self.line = Line(places, max_queue=max_queue, max_wait=max_wait, clock=self.clock)
        # In the order in which they were let in.
        self.order: list[str] = []
        self.used: dict[str, float] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def come(self, name: str, cost: float) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, cost))
        await settled()
        if self.tasks[name].done():
            self.tasks[name].result()

    async def go(self, name: str) -> None:
        self._ends[name].set()
        await settled()

    async def passed(self, seconds: float) -> None:
        self.clock.now += seconds
        await settled()

    async def _hold(self, name: str, cost: float) -> None:
        async with self.line.turn(cost) as turn:
            self.order.append(name)
            await self._ends[name].wait()
            self.used[name] = turn.used


async def test_who_comes_to_an_empty_place_has_it() -> None:
    crowd = Crowd(places=2)
    await crowd.come("a", 5)
    await crowd.come("b", 5)
    assert (crowd.order, crowd.line.running, crowd.line.waiting) == (["a", "b"], 2, 0)
    await crowd.come("c", 5)
    assert (crowd.line.running, crowd.line.waiting) == (2, 1)
    await crowd.go("a")
    assert (crowd.order, crowd.line.running, crowd.line.waiting) == (["a", "b", "c"], 2, 0)


async def test_equal_ones_are_served_as_they_came() -> None:
    crowd = Crowd()
    for name in "abcdef":
        await crowd.come(name, 1)
    for name in "abcdef":
        await crowd.go(name)
    assert crowd.order == list("abcdef")


async def test_a_short_one_goes_before_a_long_one_that_came_a_little_earlier() -> None:
    crowd = Crowd()
    await crowd.come("now", 1)
    await crowd.come("long", 10)
    await crowd.passed(5)
    await crowd.come("short", 1)
    for name in ("now", "short", "long"):
        await crowd.go(name)
    assert crowd.order == ["now", "short", "long"]


async def test_a_long_one_is_overtaken_only_for_so_long() -> None:
    """Short ones keep coming for ever, faster than they can be served; the long one gets its turn when it must."""
    crowd = Crowd(max_queue=1000, max_wait=10_000)
    await crowd.come("0", 1)
    await crowd.come("long", 10)
    served, came = 0, 0
    while "long" not in crowd.order:
        # Two come in the second that one takes.
        for _ in range(2):
            came += 1
            await crowd.come(str(came), 1)
        await crowd.passed(1)
        await crowd.go(str(served))
        served = int(crowd.order[-1]) if crowd.order[-1] != "long" else served
        assert crowd.clock.now <= 1000 + 3 * PATIENCE * 10
    overtook = [int(name) for name in crowd.order if name != "long"]
    # Nobody that came later than the patience of the long one allows.
    assert max(overtook) <= 2 * (PATIENCE * (10 - 1) + 1)
    for task in crowd.tasks.values():
        task.cancel()
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)


async def test_without_patience_it_would_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard above: were the shortest always first, the long one would be overtaken by all that come."""
    monkeypatch.setattr("limner.line.PATIENCE", 1e9)
    with pytest.raises(AssertionError):
        await test_a_long_one_is_overtaken_only_for_so_long()


async def test_the_wait_is_reckoned_from_what_is_left() -> None:
    crowd = Crowd()
    assert crowd.line.wait(1) == 0
    await crowd.come("now", 10)
    assert crowd.line.wait(1) == 10
    await crowd.passed(4)
    assert crowd.line.wait(1) == 6
    await crowd.come("next", 3)
    assert crowd.line.wait() == 9
    # Behind its equal, before what is longer.
    assert crowd.line.wait(3) == 9
    assert crowd.line.wait(1) == 6
    await crowd.passed(20)
    # What takes longer than was reckoned may end at any time.
    assert crowd.line.wait(1) == 3


async def test_those_inside_share_the_engine() -> None:
    crowd = Crowd(places=2)
    await crowd.come("a", 4)
    await crowd.come("b", 2)
    # Both at half the speed: b ends after four seconds.
    assert crowd.line.wait(1) == 4
    await crowd.passed(4)
    await crowd.go("b")
    assert crowd.used["b"] == 2
    await crowd.passed(2)
    await crowd.go("a")
    assert crowd.used["a"] == 4


async def test_too_many_are_refused_and_told_when_to_come() -> None:
    crowd = Crowd(max_queue=1)
    await crowd.come("now", 7)
    await crowd.come("next", 1)
    with pytest.raises(QueueFullError) as caught:
        await crowd.come("late", 1)
    # The one inside, and the one that waits.
    assert caught.value.retry_after == 8
    await crowd.passed(3)
    with pytest.raises(QueueFullError) as caught:
        await crowd.come("later", 1)
    assert caught.value.retry_after == 5
    assert crowd.line.waiting == 1


async def test_too_long_a_wait_is_refused_and_a_short_one_is_not() -> None:
    crowd = Crowd(max_wait=20)
    await crowd.come("now", 5)
    await crowd.come("long", 15)
    await crowd.come("long too", 16)
    with pytest.raises(QueueFullError) as caught:
        await crowd.come("long three", 16)
    assert caught.value.retry_after == 36
    # It goes before the long ones, so its own wait is short.
    await crowd.come("short", 1)
    assert crowd.line.waiting == 3


@pytest.mark.parametrize(("cost", "told"), [(0.01, 1), (1e6, 120)])
async def test_what_is_told_stays_within_what_clients_accept(cost: float, told: float) -> None:
    crowd = Crowd(max_queue=0)
    await crowd.come("now", cost)
    with pytest.raises(QueueFullError) as caught:
        await crowd.come("late", 1)
    assert caught.value.retry_after == told


async def test_who_leaves_the_line_leaves_no_gap() -> None:
    crowd = Crowd()
    for name in "abc":
        await crowd.come(name, 1)
    crowd.tasks["b"].cancel()
    await settled()
    assert crowd.line.waiting == 1
    await crowd.go("a")
    assert crowd.order == ["a", "c"]


@pytest.mark.parametrize("first", ["waiter", "holder"])
async def test_who_leaves_at_the_moment_of_being_let_in_passes_the_place_on(first: str) -> None:
    crowd = Crowd()
    for name in "abc":
        await crowd.come(name, 1)
    steps: list[Callable[[], object]] = [crowd.tasks["b"].cancel, crowd.tasks["a"].cancel]
    if first == "holder":
        steps.reverse()
    for step in steps:
        step()
    if first == "holder":
        # a's end lets b in, whose task has been told to go already.
        await asyncio.sleep(0)
    await settled()
    assert crowd.line.waiting == 0
    assert crowd.line.running == 1
    assert crowd.order == ["a", "c"]


async def test_a_failure_inside_gives_the_place_back() -> None:
    crowd = Crowd()

    async def fail() -> None:
        async with crowd.line.turn(1):
            raise ValueError

    work: Awaitable[None] = fail()
    with pytest.raises(ValueError):  # noqa: PT011 - it has no words
        await work
    assert crowd.line.running == 0
