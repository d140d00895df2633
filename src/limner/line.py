"""Those who wait at one engine: who is next, how long it will be, and when there are too many.

Costs are seconds that the engine would spend on a request alone. Requests that are drawn at once share the engine, so a
second in company of three counts a third to each; with that, times add up whether the engine batches or not.
"""

import asyncio
import contextlib
import heapq
import itertools
import math
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from limner.errors import QueueFullError

# openai-python does not retry at all when it is told to wait longer than this.
MAX_RETRY_AFTER = 120.0
# A request may be overtaken by shorter ones that come within this many times its own cost after it. So short ones do
# not wait for long ones, and whoever has waited so long is overtaken by nobody any more.
PATIENCE = 4.0


@dataclass(frozen=True, order=True)
class _Waiting:
    # What the line is sorted by: seconds of arrival, later by the patience that the cost asks for; then who came first.
    rank: float
    number: int
    cost: float = field(compare=False)
    let_in: "asyncio.Future[Turn]" = field(compare=False)


class Turn:
    """A place at the engine, while it is held."""

    def __init__(self, line: "Line", cost: float) -> None:
        self.cost = cost
        self._line = line
        self._begun = line.spent()

    @property
    def used(self) -> float:
        """Seconds of the engine's time that this request has had so far."""
        return self._line.spent() - self._begun


class Line:
    """An engine's places, and the line in front of them. Belongs to one event loop."""

    def __init__(
        self, places: int, *, max_queue: int, max_wait: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`places`: requests that the engine draws at once. `max_wait` in seconds; more than that is refused."""
        self._places = places
        self._max_queue = max_queue
        self._max_wait = max_wait
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._inside: set[Turn] = set()
        self._numbers = itertools.count()
        # Seconds that each of those inside has had, had it been there always; and when that was reckoned last.
        self._spent = 0.0
        self._reckoned = clock()

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that are being drawn."""
        return len(self._inside)

    def spent(self) -> float:
        """Seconds of the engine that whoever was here all the time has had."""
        now = self._clock()
        if self._inside:
            self._spent += (now - self._reckoned) / len(self._inside)
        self._reckoned = now
        return self._spent

    def wait(self, cost: float | None = None) -> float:
        """Seconds until a request of `cost` would be let in, or where it is None one that waits for all others."""
        if len(self._inside) < self._places:
            return 0.0
        rank = math.inf if cost is None else self._rank(cost)
        # When each place becomes free, in the engine's seconds from now.
        free = [max(0.0, turn.cost - turn.used) for turn in self._inside]
        heapq.heapify(free)
        for ahead in sorted(self._waiting):
            if ahead.rank > rank:
                break
            heapq.heapreplace(free, free[0] + ahead.cost)
        return self._places * free[0]

    @contextlib.asynccontextmanager
    async def turn(self, cost: float) -> AsyncGenerator[Turn]:
        """Wait for a place, and hold it.

        Raises:
            QueueFullError: as many wait as may, or the wait would be too long.
        """
        held = self._enter(cost) if len(self._inside) < self._places else await self._let_in(cost)
        try:
            yield held
        finally:
            self._leave(held)

    async def _let_in(self, cost: float) -> Turn:
        wait = self.wait(cost)
        if len(self._waiting) >= self._max_queue or wait > self._max_wait:
            raise _full(self.waiting, wait)
        entry = _Waiting(self._rank(cost), next(self._numbers), cost, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, entry)
        try:
            return await entry.let_in
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            elif entry.let_in.done() and not entry.let_in.cancelled():
                # It was let in at the very moment in which it went.
                self._leave(entry.let_in.result())
            raise

    def _rank(self, cost: float) -> float:
        return self._clock() + PATIENCE * cost

    def _enter(self, cost: float) -> Turn:
        # Before there is one more to share with.
        self.spent()
        turn = Turn(self, cost)
        self._inside.add(turn)
        return turn

    def _leave(self, turn: Turn) -> None:
        self.spent()
        self._inside.discard(turn)
        while self._waiting and len(self._inside) < self._places:
            entry = heapq.heappop(self._waiting)
            if not entry.let_in.done():
                entry.let_in.set_result(self._enter(entry.cost))


def _full(waiting: int, wait: float) -> QueueFullError:
    told = min(MAX_RETRY_AFTER, max(1.0, math.ceil(wait)))
    return QueueFullError(
        f"{waiting} requests wait already, about {wait:.0f} s of work before this one, which is more than may wait; "
        f"try again in about {told:.0f} s.",
        retry_after=told,
    )
