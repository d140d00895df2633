"""A resolved request to its answer: once however often it is asked, streamed or whole, as URLs or base64."""

import contextlib
import functools
import logging
import time
import urllib.parse
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from limner import __version__
from limner.engine import check_complete
from limner.server import wire
from limner.server.auth import caller
from limner.server.bare import bare_format, mime_of, recipe_headers
from limner.server.context import Context
from limner.server.pieces import Chunk, Pieces, gathered
from limner.server.retries import JOINED, Answer
from limner.server.stream import EventStream, frames
from limner.server.waiting import while_wanted
from limner.studio import Drawing
from limner.types import Image, ImageRequest

log = logging.getLogger(__name__)
# Names in x-limner-ignored; a body may have thousands of unknown keys, a header may not.
MAX_IGNORED = 20


def resolved_of(here: Context, wish: wire.Wish) -> tuple[wire.Wish, ImageRequest]:
    """The request that a wish comes to; what the model has no choice of is left out of both, and named as ignored.

    Raises:
        InvalidRequestError: a value is wrong; `param` names it.
    """
    if "scheduler" in wish.wishes and not here.studio.card(wish.model).schedulers:
        wishes = {name: value for name, value in wish.wishes.items() if name != "scheduler"}
        wish = replace(wish, wishes=wishes, ignored=(*wish.ignored, "scheduler"))
    return wish, here.studio.request(wish.model, wish.prompt, wish.wishes)


async def respond(request: Request, here: Context, wish: wire.Wish, resolved: ImageRequest, kind: str) -> Response:
    """Have `resolved` drawn and answer as `wish` says; the one way from a request to pictures.

    `kind` is what stream events are named after. What was asked before and is asked again is not drawn again (see
    `retries`): `wish` must hold all that the pictures depend on.

    Raises:
        LimnerError: any; before an answer is begun.
    """
    resolved, bare, ignored = _adapted(request, here, wish, resolved)
    if ignored and here.settings.strict:
        wire.refuse_ignored(ignored[0])
    if ignored:
        log.debug("without effect: %s", ignored_header(ignored))
    base = base_url(request, here)
    if wish.model and wish.model != resolved.model:
        log.info("%r is answered by %s", wish.model[:80], resolved.model)

    def begin() -> Answer:
        drawing = here.studio.draw(resolved)
        headers = {"x-limner-model": resolved.model, "x-limner-cache": drawing.origin}
        if bare is not None:
            weights, metadata = here.studio.card(resolved.model).weights, here.settings.metadata
            headers |= recipe_headers(resolved, weights=weights, version=__version__, metadata=metadata)
        return Answer(functools.partial(_work, here, drawing, resolved, wish, base, None if bare else kind), headers)

    # Another caller's answer, or one with URLs under another name, is another answer.
    answer, joined = here.answers.join(request.headers, caller(request), [kind, bare, base, wish], begin)
    headers = {**answer.headers, **({JOINED: "true"} if joined else {})}
    if ignored:
        headers["x-limner-ignored"] = ignored_header(ignored)
    if wish.stream:
        return EventStream(answer.read(), here.life, heartbeat=here.settings.heartbeat, headers=headers)
    pieces = await while_wanted(request.receive, here.life, gathered(answer.read()))
    if bare is None:
        return Pieces(pieces, media_type="application/json", headers=headers)
    # Proxies that keep answers to POST, if there are any, must not give a picture to who wants JSON.
    return Pieces(pieces, media_type=mime_of(pieces[0]), headers={**headers, "vary": "accept"})


def _adapted(
    request: Request, here: Context, wish: wire.Wish, resolved: ImageRequest
) -> tuple[ImageRequest, str | None, list[str]]:
    """The request as the kind of its answer wants it, the format of a bare picture, and what has no effect."""
    ignored = list(wish.ignored)
    if resolved.partial_images and (not wish.stream or "preview" not in here.studio.card(resolved.model).abilities):
        ignored.append("partial_images")
        resolved = replace(resolved, partial_images=0)
    if resolved.negative_prompt and resolved.guidance_scale <= 1:
        # Nothing leads away from it.
        ignored.append("negative_prompt")
    bare = bare_format(request.headers.get("accept", ""), wish, resolved)
    if bare is not None:
        resolved = replace(resolved, output_format=bare)
        ignored = [name for name in ignored if name != "output_compression" or bare == "png"]
        if wish.response_format is not None:
            ignored.append("response_format")
    return resolved, bare, ignored


def ignored_header(names: Sequence[str]) -> str:
    """The value of x-limner-ignored."""
    return ", ".join(urllib.parse.quote(name[:60].encode(errors="replace"), safe="[]") for name in names[:MAX_IGNORED])


async def _work(
    here: Context, drawing: Drawing, wanted: ImageRequest, wish: wire.Wish, base: str, kind: str | None
) -> AsyncGenerator[Chunk, None]:
    """The answer: events named after `kind`, or JSON, or where it is None the bare picture."""
    begun = time.perf_counter()
    events = drawing.events()
    keep = functools.partial(_keep, here, base, wanted) if wish.url and kind else None
    if wish.stream and kind:
        async with contextlib.aclosing(frames(events, wanted, kind, keep)) as chunks:
            async for chunk in chunks:
                yield chunk
    else:
        async with contextlib.aclosing(events):
            images = [event async for event in events if isinstance(event, Image)]
        check_complete(wanted, len(images))
        urls = [await keep(image) for image in images] if keep else None
        yield wire.write(wanted, images, urls, b64=wish.b64, listed=wish.listed) if kind else (images[0].data,)
    size, took = f"{wanted.width}x{wanted.height}", time.perf_counter() - begun
    log.info("%s drew %d of %s in %.2f s; cache: %s", wanted.model, wanted.n, size, took, drawing.origin)


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
