"""The same request again: who asks twice waits for one piece of work, or gets the answer that it gave.

SDKs send a request again when a connection breaks or an answer is late, and say so in `x-stainless-retry-count`.
Without this each retry would draw everything once more. A `Job` is work whose answer several requests may read; it
stops when all of them have gone.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import fields, is_dataclass
from typing import Any, cast

from starlette.datastructures import Headers

from limner.errors import InvalidRequestError

# A finished answer is kept for so many seconds, and all of them within so many bytes and so many answers.
KEEP_SECONDS = 600.0
KEEP_BYTES = 64_000_000
KEEP_ANSWERS = 1000
# What Stripe allows, from whom the header is.
MAX_KEY = 255
# Said in an answer that another request's work gave.
JOINED = "idempotent-replayed"


class Job:
    """Work whose answer comes in chunks. It begins with its first reader and stops when the last one leaves early."""

    def __init__(self, fingerprint: str, work: Callable[[], AsyncGenerator[bytes, None]]) -> None:
        self.fingerprint = fingerprint
        # Monotonic seconds; None while it goes on.
        self.ended: float | None = None
        self._work: Callable[[], AsyncGenerator[bytes, None]] | None = work
        self._chunks: list[bytes] = []
        self._readers = 0
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._news = asyncio.Event()

    @property
    def failed(self) -> bool:
        """Nobody should join it: it was stopped, or ended with an error."""
        done = self._task is not None and self._task.done()
        return self._stopped or (done and (self._task.cancelled() or self._task.exception() is not None))  # type: ignore[union-attr]

    @property
    def size(self) -> int:
        """Bytes of the answer so far."""
        return sum(map(len, self._chunks))

    async def read(self) -> AsyncGenerator[bytes, None]:
        """The answer's chunks from its beginning, as they come. Raises what the work raises."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._end)
        self._readers += 1
        try:
            told = 0
            while True:
                news, done = self._news, self._task.done()
                for chunk in self._chunks[told:]:
                    told += 1
                    yield chunk
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
        async with aclosing(work) as chunks:
            async for chunk in chunks:
                self._chunks.append(chunk)
                self._tell()

    def _end(self, task: asyncio.Task[None]) -> None:
        self.ended = time.monotonic()
        if not task.cancelled():
            # Looked at, so that asyncio does not report it when every reader has left.
            task.exception()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Jobs:
    """The work that goes on, and the last answers. Belongs to one event loop."""

    def __init__(self, *, seconds: float = KEEP_SECONDS, size: int = KEEP_BYTES, count: int = KEEP_ANSWERS) -> None:
        self._seconds = seconds
        self._size = size
        self._count = count
        # By what names the request, the newest last.
        self._jobs: dict[str, Job] = {}

    def join(
        self, headers: Headers, caller: str, wish: object, work: Callable[[], AsyncGenerator[bytes, None]]
    ) -> tuple[Job, bool]:
        """The job that answers a request, and whether another request began it.

        `caller` tells apart who may share answers; `wish` is all that the answer depends on: plain values, bytes,
        containers and dataclasses of them.

        Raises:
            InvalidRequestError: the Idempotency-Key was used for another request, or is none.
        """
        self._tidy()
        asked = fingerprint(caller, wish)
        key = headers.get("idempotency-key")
        name = asked
        if key is not None:
            if not 1 <= len(key) <= MAX_KEY:
                raise InvalidRequestError(
                    f"Idempotency-Key must have 1 to {MAX_KEY} characters.", param="Idempotency-Key"
                )
            name = fingerprint(caller, "Idempotency-Key", key)
        found = self._jobs.get(name)
        if found is not None and key is not None and found.fingerprint != asked:
            raise InvalidRequestError(
                "This Idempotency-Key was used for another request; a new request needs a new key.",
                param="Idempotency-Key",
                code="idempotency_key_reuse",
            )
        if found is not None and (key is not None or _is_retry(headers)):
            return found, True
        self._jobs.pop(name, None)
        self._jobs[name] = Job(asked, work)
        return self._jobs[name], False

    def _tidy(self) -> None:
        """Forget what nobody should join, and of the finished answers what is old or too much, the oldest first."""
        since = time.monotonic() - self._seconds
        size = count = 0
        for name, job in reversed(list(self._jobs.items())):
            if job.ended is not None:
                size += job.size
                count += 1
            if job.failed or (
                job.ended is not None and (job.ended <= since or size > self._size or count > self._count)
            ):
                del self._jobs[name]


def _is_retry(headers: Headers) -> bool:
    told = headers.get("x-stainless-retry-count", "").strip()
    return told.isascii() and told.isdigit() and told.strip("0") != ""


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
