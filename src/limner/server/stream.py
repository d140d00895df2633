"""`stream: true`: the API's server-sent events, made of an engine's events.

A frame is `event: NAME`, `data: JSON on one line`, and an empty line. Picture bytes are joined in as base64 and never
go through a JSON encoder. A comment is sent when nothing else was for a while, so that proxies and clients wait on.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fastapi import Response
from starlette.types import Receive, Scope, Send

from limner.engine import check_complete
from limner.errors import InvalidRequestError, LimnerError
from limner.server import wire
from limner.server.context import Life
from limner.server.pieces import Chunk, send_slices
from limner.server.problems import error_event
from limner.server.waiting import while_wanted
from limner.types import Event, Image, ImageRequest, Preview

log = logging.getLogger(__name__)
# Kinds of event: KIND.partial_image and KIND.completed.
GENERATION = "image_generation"
EDIT = "image_edit"
HEARTBEAT = b": keep-alive\n\n"
HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    # nginx would otherwise hold events back.
    "x-accel-buffering": "no",
}


async def frames(
    events: AsyncGenerator[Event, None],
    request: ImageRequest,
    kind: str,
    keep: Callable[[Image], Awaitable[str]] | None = None,
) -> AsyncGenerator[Chunk, None]:
    """The frames of a request's previews and pictures. With `keep`, finished pictures come as the URL that it gives.

    Where n > 1 each event says in `index` whose it is, previews are counted for each picture, and `usage` is that of
    the one picture.

    Raises:
        EngineError: the engine broke, or gave another number of pictures than it should.
    """
    made = 0
    # Pictures of one request may be drawn side by side.
    previews = Counter[int]()
    usage = wire.usage(replace(request, n=1))
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Preview):
                said = _said(f"{kind}.partial_image", event.image, request) | {
                    "partial_image_index": previews[event.image.index]
                }
                previews[event.image.index] += 1
                yield wire.frame(said, event.image.data)
            elif isinstance(event, Image):
                said = _said(f"{kind}.completed", event, request)
                said |= {"model": request.model, "seed": event.seed, "usage": usage}
                made += 1
                if keep is not None:
                    yield wire.frame(said | {"url": await keep(event)})
                else:
                    yield wire.frame(said, event.data)
    check_complete(request, made)


def _said(name: str, image: Image, request: ImageRequest) -> dict[str, Any]:
    said = {"type": name, "created_at": int(time.time()), **wire.described(request, image)}
    return said | ({"index": image.index} if request.n > 1 else {})


class EventStream(Response):
    """An answer that is sent as its frames come.

    Until something is sent a failure is an ordinary answer with its own status; after that it is an `error` event.
    """

    def __init__(
        self, chunks: AsyncGenerator[Chunk, None], life: Life, *, heartbeat: float, headers: Mapping[str, str]
    ) -> None:
        super().__init__(headers={**headers, **HEADERS})
        # Its length is not known.
        del self.headers["content-length"]
        self._chunks = chunks
        self._life = life
        self._heartbeat = heartbeat
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._life.at_work():
                await while_wanted(receive, self._life, self._send_all(send))
        except LimnerError as error:
            if not self._begun:
                raise
            if isinstance(error, InvalidRequestError) and error.code == "cancelled":
                return
            log.warning("a stream ended with an error: %s", error.code)
            await self._send(send, (error_event(error),))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> None:
        async with contextlib.aclosing(self._chunks):
            coming = asyncio.ensure_future(anext(self._chunks, None))
            try:
                while True:
                    done, _ = await asyncio.wait((coming,), timeout=self._heartbeat)
                    if not done:
                        await self._send(send, (HEARTBEAT,))
                        continue
                    if (chunk := coming.result()) is None:
                        return
                    await self._send(send, chunk)
                    coming = asyncio.ensure_future(anext(self._chunks, None))
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _send(self, send: Send, chunk: Chunk) -> None:
        if not self._begun:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            self._begun = True
        await send_slices(send, chunk, last=False)
