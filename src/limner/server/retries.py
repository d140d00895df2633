"""The same request again: who asks twice waits for one piece of work, or gets the answer that it gave.

SDKs send a request again when a connection breaks or an answer is late, and say so in `x-stainless-retry-count`.
Without this each retry would draw everything once more.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.datastructures import Headers

from limner.errors import InvalidRequestError
from limner.jobs import Job, fingerprint
from limner.server.pieces import Chunk, length

# A finished answer is kept for so many seconds, and all of them within so many bytes and so many answers.
KEEP_SECONDS = 600.0
KEEP_BYTES = 64_000_000
KEEP_ANSWERS = 1000
# What Stripe allows, from whom the header is.
MAX_KEY = 255
# Said in an answer that another request's work gave.
JOINED = "idempotent-replayed"


class Answer(Job[Chunk]):
    """An answer in the making, or made."""

    def __init__(self, work: Callable[[], AsyncGenerator[Chunk, None]], headers: Mapping[str, str]) -> None:
        super().__init__(work)
        # What its headers say of how it was made, to whoever gets it.
        self.headers = headers
        # Of the request that it answers; set by `Answers`.
        self.asked = ""


class Answers:
    """The answers in the making, and the last ones made. Belongs to one event loop."""

    def __init__(self, *, seconds: float = KEEP_SECONDS, size: int = KEEP_BYTES, count: int = KEEP_ANSWERS) -> None:
        self._seconds = seconds
        self._size = size
        self._count = count
        # By what names the request.
        self._known: dict[str, Answer] = {}
        # Those that are made, with their bytes on the wire; the oldest first.
        self._made: OrderedDict[str, tuple[Answer, int]] = OrderedDict()
        self._kept = 0

    def join(self, headers: Headers, caller: str, wish: object, begin: Callable[[], Answer]) -> tuple[Answer, bool]:
        """The answer to a request, and whether another request began it; `begin` makes a new one.

        `caller` tells apart who may share answers; `wish` is all that the answer depends on: plain values, bytes,
        containers and dataclasses of them.

        Raises:
            InvalidRequestError: the Idempotency-Key was used for another request, or is none.
        """
        self._forget()
        asked = fingerprint(caller, wish)
        key = headers.get("idempotency-key")
        name = asked
        if key is not None:
            if not 1 <= len(key) <= MAX_KEY:
                raise InvalidRequestError(
                    f"Idempotency-Key must have 1 to {MAX_KEY} characters.", param="Idempotency-Key"
                )
            name = fingerprint(caller, "Idempotency-Key", key)
        found = self._known.get(name)
        if found is not None and found.failed:
            found = None
        if found is not None and key is not None and found.asked != asked:
            raise InvalidRequestError(
                "This Idempotency-Key was used for another request; a new request needs a new key.",
                param="Idempotency-Key",
                code="idempotency_key_reuse",
            )
        if found is not None and (key is not None or _is_retry(headers)):
            return found, True
        made = begin()
        made.asked = asked
        made.at_end(lambda: self._end(name, made))
        self._drop(name)
        self._known[name] = made
        return made, False

    def _end(self, name: str, made: Answer) -> None:
        if self._known.get(name) is not made:
            return
        if made.failed:
            del self._known[name]
            return
        size = sum(map(length, made.parts))
        self._made[name] = (made, size)
        self._kept += size
        self._forget()

    def _forget(self) -> None:
        """Of the answers that are made: what is old or too much, the oldest first."""
        since = time.monotonic() - self._seconds
        while self._made:
            name, (oldest, _) = next(iter(self._made.items()))
            if self._kept <= self._size and len(self._made) <= self._count and (oldest.ended or 0.0) > since:
                return
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._known.pop(name, None)
        if name in self._made:
            self._kept -= self._made.pop(name)[1]


def _is_retry(headers: Headers) -> bool:
    told = headers.get("x-stainless-retry-count", "").strip()
    return told.isascii() and told.isdigit() and told.strip("0") != ""
