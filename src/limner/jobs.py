"""Work that several may wait for: equal requests, or the same request sent twice.

Standard library only.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar, cast

_T = TypeVar("_T")


class Job(Generic[_T]):
    """Work whose result comes in parts. It begins with its first reader and stops when the last one leaves early."""

    def __init__(self, work: Callable[[], AsyncGenerator[_T, None]]) -> None:
        # Monotonic seconds; None while it goes on.
        self.ended: float | None = None
        # What has come so far.
        self.parts: list[_T] = []
        self._work: Callable[[], AsyncGenerator[_T, None]] | None = work
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._news = asyncio.Event()
        self._at_end: list[Callable[[], None]] = []

    @property
    def failed(self) -> bool:
        """Nobody should join it: it was stopped, or ended with an error."""
        if self._task is None or not self._task.done():
            return self._stopped
        return self._stopped or self._task.cancelled() or self._task.exception() is not None

    def at_end(self, call: Callable[[], None]) -> None:
        """Have `call` called when the work has ended, well or not."""
        self._at_end.append(call)

    async def read(self) -> AsyncGenerator[_T, None]:
        """The parts from the first one on, as they come. Raises what the work raises."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._end)
        self._readers += 1
        try:
            told = 0
            while True:
                news, done = self._news, self._task.done()
                for part in self.parts[told:]:
                    told += 1
                    yield part
                if done:
                    break
                await news.wait()
            self._task.result()
        finally:
            self._readers -= 1
            if not self._readers and not self._task.done():
                self._stopped = True
                self._task.cancel()
                # The step that is under way ends before this returns.
                await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        assert self._work is not None
        work = self._work()
        # The request that it came from may be large, and the job is kept.
        self._work = None
        async with aclosing(work) as parts:
            async for part in parts:
                self.parts.append(part)
                self._tell()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.ended = time.monotonic()
        if not task.cancelled():
            # Looked at, so that asyncio does not report it when every reader has left.
            task.exception()
        self._tell()
        for call in self._at_end:
            call()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def fingerprint(*parts: object) -> str:
    """Hex digits that are equal for equal parts, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return dict(cast(Mapping[Any, Any], value))
    if isinstance(value, set | frozenset):
        return sorted(cast(set[Any], value))
    raise TypeError(f"a {type(value).__name__} has no fingerprint")
