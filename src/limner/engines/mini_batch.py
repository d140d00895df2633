"""Pictures of several requests drawn together: they share each denoising step, and join and leave between steps.

Nothing waits for company and there is no timer: a step takes those that are there when it begins. All bookkeeping
is on the event loop; only the step itself runs on a thread, one at a time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from limner.engines.mini_sampler import Sample
from limner.errors import EngineError
from limner.types import Event

# Pictures in one step. More do not draw faster on a CPU, and each waits for all.
MOST = 8
# Steps whose events a reader may leave unread before its pictures sit out; others go on.
UNREAD = 1

# What a step of a sample gives to its reader, made on the worker thread.
Report = Callable[[Sample], list[Event]]


@dataclass(kw_only=True, eq=False)
class _Drawing:
    """One request in the batch."""

    samples: list[Sample]
    report: Report
    # Events of a step each, not yet read.
    unread: deque[list[Event]] = field(default_factory=deque[list[Event]])
    told: asyncio.Event = field(default_factory=asyncio.Event)
    failure: BaseException | None = None

    @property
    def ready(self) -> bool:
        return bool(self.samples) and len(self.unread) <= UNREAD and self.failure is None

    def tell(self, made: list[Event] | BaseException) -> None:
        """Hand a step's events to the reader, or what went wrong."""
        if isinstance(made, BaseException):
            self.failure = made
        else:
            self.unread.append(made)
            self.samples = [sample for sample in self.samples if not sample.done]
        self.told.set()


class Batch:
    """Takes samples one step further, together. Make it on the event loop that will use it."""

    def __init__(self, advance: Callable[[Sequence[Sample]], None], executor: Executor) -> None:
        self._advance, self._executor = advance, executor
        self._drawings: list[_Drawing] = []
        self._wake = asyncio.Event()
        # Done when the step that is under way has ended.
        self._step: Awaitable[object] | None = None
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop after the step that is under way."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for drawing in self._drawings:
            drawing.tell(EngineError("The engine was closed while it drew."))

    async def draw(self, samples: list[Sample], report: Report) -> AsyncGenerator[Event, None]:
        """Draw all samples; yield what `report` says of each after each of its steps.

        Closing the iterator takes them out; the step that is under way may end, and none begins.
        """
        drawing = _Drawing(samples=list(samples), report=report)
        self._drawings.append(drawing)
        self._wake.set()
        try:
            while drawing.samples or drawing.unread:
                while not drawing.unread:
                    if drawing.failure is not None:
                        raise drawing.failure
                    drawing.told.clear()
                    await drawing.told.wait()
                events = drawing.unread.popleft()
                self._wake.set()
                for event in events:
                    yield event
            if drawing.failure is not None:
                raise drawing.failure
        finally:
            self._drawings.remove(drawing)
            if self._step is not None:
                # A cancelled reader must still not be gone before the step that it is in has ended.
                await asyncio.shield(self._ended())

    async def _ended(self) -> None:
        if self._step is not None:
            await self._step

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            chosen = self._chosen()
            if not chosen:
                self._wake.clear()
                await self._wake.wait()
                continue
            # Not awaited by itself: what it raises belongs to the readers.
            self._step = asyncio.gather(
                loop.run_in_executor(self._executor, self._work, chosen), return_exceptions=True
            )
            (made,) = await self._step
            self._step = None
            for drawing in dict(chosen):
                drawing.tell(made if isinstance(made, BaseException) else made[drawing])

    def _chosen(self) -> list[tuple[_Drawing, Sample]]:
        """Who takes part in the next step: the oldest first."""
        ready = [(drawing, sample) for drawing in self._drawings if drawing.ready for sample in drawing.samples]
        return ready[:MOST]

    def _work(self, chosen: Sequence[tuple[_Drawing, Sample]]) -> dict[_Drawing, list[Event]]:
        self._advance([sample for _, sample in chosen])
        events: dict[_Drawing, list[Event]] = {drawing: [] for drawing, _ in chosen}
        for drawing, sample in chosen:
            events[drawing] += drawing.report(sample)
        return events
