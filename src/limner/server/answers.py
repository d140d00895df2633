"""A resolved request to its answer: once however often it is asked, streamed or whole, as URLs or base64."""

import contextlib
import functools
import logging
import time
import urllib.parse
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner.engine import check_complete
from limner.server import wire
from limner.server.auth import caller
from limner.server.context import Context
from limner.server.retries import JOINED
from limner.server.stream import EventStream, frames
from limner.server.waiting import while_wanted
from limner.types import Image, ImageRequest

log = logging.getLogger(__name__)
# Names in x-limner-ignored; a body may have thousands of unknown keys, a header may not.
MAX_IGNORED = 20


async def respond(request: Request, here: Context, wish: wire.Wish, resolved: ImageRequest, kind: str) -> Response:
    """Have `resolved` drawn and answer as `wish` says; the one way from a request to pictures.

    `kind` is what stream events are named after. What was asked before and is asked again is not drawn again (see
    `retries`): `wish` must hold all that the pictures depend on.

    Raises:
        LimnerError: any; before an answer is begun.
    """
    ignored = list(wish.ignored)
    if resolved.partial_images and (not wish.stream or "preview" not in here.studio.card(resolved.model).abilities):
        ignored.append("partial_images")
        resolved = replace(resolved, partial_images=0)
    base = base_url(request, here)
    if wish.stream:
        keep = functools.partial(_keep, here, base, resolved) if wish.url else None
        begin = functools.partial(_streamed, here, resolved, kind, keep)
    else:
        begin = functools.partial(_whole, here, resolved, wish, base)
    # Another caller's answer, or one with URLs under another name, is another answer.
    job, joined = here.jobs.join(request.headers, caller(request), [kind, base, wish], begin)
    headers = {"x-limner-model": resolved.model}
    if joined:
        headers[JOINED] = "true"
    if ignored:
        names = [urllib.parse.quote(name[:60].encode(errors="replace"), safe="[]") for name in ignored]
        headers["x-limner-ignored"] = ", ".join(names[:MAX_IGNORED])
    if wish.stream:
        return EventStream(job.read(), here.life, heartbeat=here.settings.heartbeat, headers=headers)
    body = await while_wanted(request.receive, here.life, _joined(job.read()))
    return Response(body, media_type="application/json", headers=headers)


async def _joined(chunks: AsyncGenerator[bytes, None]) -> bytes:
    async with contextlib.aclosing(chunks):
        return b"".join([chunk async for chunk in chunks])


async def _whole(here: Context, wanted: ImageRequest, wish: wire.Wish, base: str) -> AsyncGenerator[bytes, None]:
    begun = time.perf_counter()
    async with contextlib.aclosing(here.studio.generate(wanted)) as events:
        images = [event async for event in events if isinstance(event, Image)]
    check_complete(wanted, len(images))
    urls = [await _keep(here, base, wanted, image) for image in images] if wish.url else None
    yield wire.write(wanted, images, urls, b64=wish.b64)
    _log(wanted, begun)


async def _streamed(
    here: Context, wanted: ImageRequest, kind: str, keep: Callable[[Image], Awaitable[str]] | None
) -> AsyncGenerator[bytes, None]:
    begun = time.perf_counter()
    async with contextlib.aclosing(frames(here.studio.generate(wanted), wanted, kind, keep)) as chunks:
        async for chunk in chunks:
            yield chunk
    _log(wanted, begun)


def _log(wanted: ImageRequest, begun: float) -> None:
    took = time.perf_counter() - begun
    log.info("%s drew %d of %dx%d in %.2f s", wanted.model, wanted.n, wanted.width, wanted.height, took)


async def _keep(here: Context, base: str, wanted: ImageRequest, image: Image) -> str:
    name = await run_in_threadpool(here.store.put, image.data, wire.format_of(wanted, image))
    return f"{base}/media/{name}"


def base_url(request: Request, here: Context) -> str:
    """What URLs of this server begin with, as the client sees it; no slash at the end."""
    if here.settings.public_base_url:
        return here.settings.public_base_url
    scheme, host = request.url.scheme, request.headers.get("host", "localhost")
    if here.settings.trust_proxy:
        # The first of a list is the proxy nearest to the client.
        scheme = request.headers.get("x-forwarded-proto", scheme).partition(",")[0].strip()
        host = request.headers.get("x-forwarded-host", host).partition(",")[0].strip()
    return f"{scheme}://{host}"
