"""Failures as answers: every one is JSON with the four keys of the API's error object, and carries a request id.

`Edge` is the outermost layer of the application and the one place in the server that catches everything.
"""

import json
import logging
import math
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import (
    AuthenticationError,
    EngineError,
    InvalidRequestError,
    LimnerError,
    MethodNotAllowedError,
    NotFoundError,
    RequestTimeoutError,
    ServerError,
    StorageError,
)
from limner.server import wire
from limner.server.context import Context
from limner.server.pieces import slices

log = logging.getLogger(__name__)
# An id that a caller may choose: long enough for a UUID or a trace id, nothing that could break a log line.
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def answer(error: LimnerError, extra: Mapping[str, Any] | None = None) -> Response:
    """The error as a response; `extra` keys stand beside `error` in the body."""
    return Response(
        json.dumps(error.body() | dict(extra or {})),
        status_code=error.status,
        media_type="application/json",
        headers=headers_of(error),
    )


def error_event(error: LimnerError) -> bytes:
    """The error as the last event of a stream: SDKs raise on data with an `error` in it."""
    return b"".join(slices(wire.frame({"type": "error"} | error.body())))


def headers_of(error: LimnerError) -> dict[str, str]:
    """What the client's retry logic and its connection must know."""
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after)))
        headers["retry-after-ms"] = str(max(1, round(error.retry_after * 1000)))
    if isinstance(error, AuthenticationError):
        headers["www-authenticate"] = "Bearer"
    # The same request would fail in the same way, and SDKs retry 408 and 500 unless told.
    if isinstance(error, EngineError | StorageError | RequestTimeoutError):
        headers["x-should-retry"] = "false"
    return headers


def add_handlers(app: FastAPI) -> None:
    """Make the framework's own errors ours."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, LimnerError)
        return answer(error)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        response = answer(_of_framework(request, error))
        response.status_code = error.status_code
        response.headers.update(error.headers or {})
        return response

    async def validation(request: Request, error: Exception) -> Response:
        return answer(InvalidRequestError("The request's path or query is not valid."))

    async def gone(request: Request, error: Exception) -> Response:
        # Nobody reads this answer; it is for the log, where a client that hangs up is not a failure of ours.
        return answer(InvalidRequestError("The client hung up.", code="cancelled"))

    app.add_exception_handler(LimnerError, ours)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(RequestValidationError, validation)


def _of_framework(request: Request, error: HTTPException) -> LimnerError:
    path = request.url.path[:200]
    if error.status_code == 404:
        return NotFoundError(f"There is nothing at {path!r}; the API is at /v1, its description at /docs.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowedError(f"{path!r} takes {allowed}, not {request.method}.")
    return (InvalidRequestError if error.status_code < 500 else ServerError)(str(error.detail))


class Edge:
    """Gives each request an id, times and logs it, and turns whatever escapes into an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        request_id = _request_id(Headers(scope=scope))
        status = 0
        streams = False

        async def marked(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                streams = headers.get("content-type", "").startswith("text/event-stream")
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(round((time.perf_counter() - begun) * 1000))
            await send(message)

        try:
            await self.app(scope, receive, marked)
        except LimnerError as error:
            await answer(error)(scope, receive, marked)
        except Exception:
            log.exception("request %s failed", request_id)
            told = ServerError(f"The server failed on this request. Its id is {request_id}; the log has the rest.")
            if streams:
                await send({"type": "http.response.body", "body": error_event(told)})
            elif status:
                # Half an answer is out; only closing the connection can tell the client.
                raise
            else:
                await answer(told)(scope, receive, marked)
        finally:
            seconds = time.perf_counter() - begun
            here: Context = scope["app"].state.limner
            here.traffic.count(scope["method"], status, seconds)
            # The path holds no prompt; the query, where people put keys by mistake, stays out of the log.
            log.info(
                "%s %r %d in %.0f ms, request %s", scope["method"], scope["path"], status, seconds * 1000, request_id
            )


def _request_id(headers: Headers) -> str:
    given = headers.getlist("x-request-id")
    return given[0] if len(given) == 1 and SANE_ID.fullmatch(given[0]) else f"req_{secrets.token_hex(16)}"
