"""Which models are in memory: opened by the first request, closed when idle or when another needs the room.

A `Resident` is an engine like any other, so nobody above knows that the one inside it comes and goes.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from limner.engine import Engine
from limner.errors import EngineError, LimnerError, NotReadyError
from limner.types import Event, ImageRequest, ModelCard

log = logging.getLogger(__name__)
# Seconds for which a model that could not be opened is not tried again: it would fail the same way, slowly.
COOLDOWN = 10.0


@dataclass(frozen=True, kw_only=True)
class State:
    """What is known of a model's place in memory."""

    loaded: bool
    # Bytes that it takes, as reckoned.
    memory: int
    # Requests that use it or wait for it.
    requests: int
    # Seconds until it is unloaded if nobody asks for it; 0 while in use or not loaded.
    unload_in: float


class Residency:
    """The memory that models share. One event loop."""

    def __init__(self, *, budget: int, keep_alive: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`budget`: bytes that models may take together. `keep_alive`: seconds that an idle one stays."""
        self.budget = budget
        self.keep_alive = keep_alive
        self.clock = clock
        self.taken = 0
        self._loaded: list[Resident] = []
        self._freed = asyncio.Event()

    def resident(self, card: ModelCard, memory: int, make: Callable[[], Engine]) -> "Resident":
        """An engine that shares this memory. `make` may block; it is called in a thread at each opening."""
        return Resident(self, card, memory, make)

    async def reserve(self, guest: "Resident") -> None:
        """Wait until `guest` has room, closing the longest unused models that nobody uses.

        Raises EngineError, "insufficient_memory", where it never would have.
        """
        if guest.memory > self.budget:
            raise EngineError(
                f"{guest.card.id} needs {guest.memory / 1e9:.1f} GB of memory, and models may take "
                f"{self.budget / 1e9:.1f} GB here (LIMNER_MODEL_MEMORY).",
                code="insufficient_memory",
            )
        while self.taken + guest.memory > self.budget:
            idle = [each for each in self._loaded if each.requests == 0]
            if idle:
                await min(idle, key=lambda each: each.used).close()
                continue
            self._freed.clear()
            await self._freed.wait()
        self.taken += guest.memory

    def opened(self, guest: "Resident") -> None:
        """`guest` is in memory."""
        self._loaded.append(guest)

    def gone(self, guest: "Resident") -> None:
        """What `guest` had reserved is free again."""
        if guest in self._loaded:
            self._loaded.remove(guest)
        self.taken -= guest.memory
        self.changed()

    def changed(self) -> None:
        """A model may have become idle, or room free: whoever waits looks again."""
        self._freed.set()


class Resident:
    """One model that comes and goes, behind the engine's verb."""

    def __init__(self, house: Residency, card: ModelCard, memory: int, make: Callable[[], Engine]) -> None:
        self.card = card
        self.memory = memory
        # Requests that use it or wait for it to be opened.
        self.requests = 0
        # When it was last used, by the house's clock.
        self.used = 0.0
        self._house = house
        self._make = make
        self._engine: Engine | None = None
        # At most one of these goes on at a time.
        self._opening: asyncio.Task[Engine] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._reaper: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: LimnerError | None = None
        self._failed = 0.0
        # Unload as soon as nobody uses it.
        self._dismissed = False

    def cards(self) -> Sequence[ModelCard]:
        """Its one card."""
        return [self.card]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self.close(anyway=True)

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """Open it if need be, then its engine's events.

        Raises:
            NotReadyError: it could not be opened a moment ago; `retry_after` is when it is tried again.
            EngineError: it cannot be opened, or broke on this request.
        """
        async with self._in_use() as engine, aclosing(engine.generate(request)) as events:
            async for event in events:
                yield event

    def state(self) -> State:
        """For people and `limner ps`."""
        idle = self._timer is not None and self._engine is not None
        left = self.used + self._house.keep_alive - self._house.clock() if idle else 0.0
        return State(
            loaded=self._engine is not None,
            memory=self.memory,
            requests=self.requests,
            unload_in=round(max(0.0, left), 1),
        )

    def busy(self) -> bool:
        """Whether it is in memory, or on its way in."""
        return self._engine is not None or self._opening is not None

    async def dismiss(self) -> bool:
        """Unload it, now or as soon as its running requests have ended. Whether it was in memory."""
        was = self.busy()
        self._dismissed = was and self.requests > 0
        if self.requests == 0:
            await self.close()
        return was

    async def close(self, *, anyway: bool = False) -> None:
        """Free its memory, unless a request uses it. `anyway`: also then."""
        if self.requests and not anyway:
            return
        self._stop_timer()
        if self._engine is not None and self._closing is None:
            self._closing = asyncio.create_task(self._free(self._engine))
            self._engine = None
        if self._closing is not None:
            # Shielded: whoever waits may hang up, and the memory is freed all the same.
            await asyncio.shield(self._closing)

    @asynccontextmanager
    async def _in_use(self) -> AsyncGenerator[Engine]:
        self._stop_timer()
        self.requests += 1
        try:
            yield await self._opened()
        finally:
            self.requests -= 1
            self.used = self._house.clock()
            if self.requests == 0:
                self._idle()
            self._house.changed()

    async def _opened(self) -> Engine:
        if self._engine is not None:
            return self._engine
        wait = self._failed + COOLDOWN - self._house.clock()
        if self._failure is not None and wait > 0:
            raise NotReadyError(
                f"{self.card.id} could not be opened a moment ago: {self._failure.message}",
                code=self._failure.code,
                retry_after=wait,
            )
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
            # All who waited may have hung up; then nobody reads its error.
            self._opening.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Shielded: one who hangs up does not take it from the others.
        return await asyncio.shield(self._opening)

    async def _open(self) -> Engine:
        try:
            if self._closing is not None:
                await self._closing
            await self._house.reserve(self)
            self._engine = await self._filled()
        except LimnerError as error:
            self._failure, self._failed = error, self._house.clock()
            raise
        finally:
            self._opening = None
        self._failure = None
        self._house.opened(self)
        if self.requests == 0:
            self._idle()
        return self._engine

    async def _filled(self) -> Engine:
        """The opened engine, in room that is reserved already and given back where it fails."""
        begun = self._house.clock()
        done = False
        try:
            engine = await asyncio.to_thread(self._make)
            await engine.__aenter__()
            done = True
        finally:
            if not done:
                self._house.gone(self)
        log.info("%s is in memory after %.1f s", self.card.id, self._house.clock() - begun)
        return engine

    async def _free(self, engine: Engine) -> None:
        try:
            await engine.__aexit__(None, None, None)
            log.info("%s is out of memory", self.card.id)
        finally:
            self._closing = None
            self._house.gone(self)

    def _idle(self) -> None:
        """Nobody uses it: close it in a while, or now where somebody dismissed it."""
        if self._engine is None:
            return
        wait = 0.0 if self._dismissed else self._house.keep_alive
        self._dismissed = False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait, self._tired)

    def _tired(self) -> None:
        self._timer = None
        # Kept, or the task may be collected before it is done.
        self._reaper = asyncio.create_task(self.close())

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
