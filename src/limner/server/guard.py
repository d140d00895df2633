"""Limits before reading: uvicorn itself waits for ever, and takes any number of headers and bodies of any size.

`GuardedProtocol` bounds what happens before the application is called (silence, dribbled headers, header floods) and
how long an answer may wait for a client that does not read it.
`BodyLimit` bounds the body while it is read. uvicorn's protocol class is not a public interface, so its minor version
is pinned and tests/api/test_guard.py probes each limit over a real socket.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any, cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from limner.errors import (
    HeadersTooLargeError,
    InvalidRequestError,
    LimnerError,
    RequestTimeoutError,
    RequestTooLargeError,
)

MAX_HEADER_BYTES = 32 * 1024
MAX_HEADER_LINES = 100
# Seconds in which the rest of a body is read and dropped after an early answer. Closing at once would reset the
# connection, and the client would never see why.
LINGER = 2.0
# A body may take this many times the stall limit in all, however steadily it drips.
TOTAL_FACTOR = 4


def guarded(header_timeout: float, answer_timeout: float) -> type[HttpToolsProtocol]:
    """The protocol class for uvicorn, with its time limits in seconds. uvicorn makes the instances."""

    class Guarded(GuardedProtocol):
        limit = header_timeout
        patience = answer_timeout

    return Guarded


class GuardedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a clock on the headers and a limit on their size."""

    limit: float = 10.0
    patience: float = 60.0
    # Waiting for a request's headers to be complete.
    _waiting = True
    # Headers were completed by the data that came last.
    _headers_came = False
    # Bytes and lines of them so far; bytes that the parser has not handed over yet.
    _header_bytes = 0
    _header_lines = 0
    _raw_bytes = 0
    _refusal: LimnerError | None = None
    _timer: asyncio.TimerHandle | None = None
    _linger: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._stop_lingering()
        self._stop_waiting_for_reader()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            # Closing would wait for the buffer to empty, which it does not.
            self._unread = self.loop.call_later(self.patience, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_waiting_for_reader()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._waiting and self._timer is None:
            self._arm()
        waited, self._headers_came = self._waiting, False
        super().data_received(data)
        if waited and not self._headers_came and not self.transport.is_closing():
            # A header without an end stays inside the parser, so raw bytes are counted too.
            self._raw_bytes += len(data)
            if self._raw_bytes > MAX_HEADER_BYTES:
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._raw_bytes = 0
        # Also when this request began in the same bytes that ended the one before.
        if self._timer is None:
            self._arm()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_lines += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._waiting, self._headers_came = False, True
        self._header_bytes = self._header_lines = self._raw_bytes = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._waiting = True
        self._stop_lingering()
        if not self._busy():
            # The answer came first, and the end of the body has stopped uvicorn's own clock on idle connections.
            self._arm()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._waiting and self.cycle.response_complete and not self.transport.is_closing():
            self._linger = self.loop.call_later(LINGER, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        # uvicorn comes here for whatever the parser does not take, a refusal of ours included.
        self._refuse(
            self._refusal
            or InvalidRequestError("This is not an HTTP/1.1 request that can be read.", code="invalid_http")
        )

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES or self._header_lines > MAX_HEADER_LINES:
            self._refusal = _too_large()
            # The parser stops and uvicorn calls send_400_response.
            raise self._refusal

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(self.limit, self._late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_lingering(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _stop_waiting_for_reader(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._busy():
            # The next request came early and waits for the one that is being answered.
            self._arm()
        elif self._raw_bytes or self._header_bytes:
            self._refuse(RequestTimeoutError(f"The headers were not complete after {self.limit:g} s."))
        else:
            self.transport.close()

    def _busy(self) -> bool:
        # None before the first request, whatever uvicorn's annotation says.
        cycle = cast(RequestResponseCycle | None, self.cycle)
        return cycle is not None and not cycle.response_complete

    def _refuse(self, error: LimnerError) -> None:
        self._disarm()
        if not self._busy():
            self.transport.write(_bare_answer(error))
        self.transport.close()


def _too_large() -> HeadersTooLargeError:
    return HeadersTooLargeError(f"The headers must have at most {MAX_HEADER_BYTES} bytes and {MAX_HEADER_LINES} lines.")


def _bare_answer(error: LimnerError) -> bytes:
    """A whole HTTP response, for when the application was never called."""
    body = json.dumps(error.body()).encode()
    lines = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-request-id: req_{secrets.token_hex(16)}",
        "x-should-retry: false",
        "connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


class BodyLimit:
    """Refuses a body that is too large, before reading it where its length is told, and one that stalls."""

    def __init__(self, app: ASGIApp, *, max_body: int, stall: float, larger: Mapping[str, int] | None = None) -> None:
        """`larger`: other limits, in bytes, for paths that end so."""
        self.app = app
        self._max = max_body
        self._larger = larger or {}
        self._stall = stall

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        most = self._most(scope["path"])
        told = Headers(scope=scope).get("content-length", "0")
        # The parser has refused what is not a number; another server's parser may not have.
        if not (told.isascii() and told.isdigit()):
            raise InvalidRequestError("Content-Length must be a number of bytes.", code="invalid_http")
        if len(told) > 18 or int(told) > most:
            raise _over(most)
        read = 0
        complete = False
        deadline = time.monotonic() + TOTAL_FACTOR * self._stall

        async def limited() -> Message:
            nonlocal read, complete
            if complete:
                return await receive()
            message = await self._in_time(receive(), deadline)
            if message["type"] == "http.request":
                read += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if read > most:
                    raise _over(most)
            return message

        await self.app(scope, limited, send)

    async def _in_time(self, arriving: Awaitable[Any], deadline: float) -> Message:
        try:
            async with asyncio.timeout(min(self._stall, max(0.0, deadline - time.monotonic()))):
                return await arriving
        except TimeoutError:
            raise RequestTimeoutError("The body stopped arriving, or arrives too slowly.") from None

    def _most(self, path: str) -> int:
        return next((most for end, most in self._larger.items() if path.rstrip("/").endswith(end)), self._max)


def _over(most: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The body must have at most {most} bytes.")
