"""POST /v1/images/generations: a body in, pictures out, and the work stops when nobody waits for it."""

import asyncio
import contextlib
import logging
import time
import urllib.parse
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from limner.errors import EngineError, InvalidRequestError, NotReadyError
from limner.server import fields, schema, wire
from limner.server.auth import with_key
from limner.server.context import Context, Here, Life
from limner.types import Event, Image, ImageRequest

log = logging.getLogger(__name__)
router = APIRouter(dependencies=with_key, tags=["images"])
PATH = "/v1/images/generations"
# Names in x-limner-ignored; a body may have thousands of unknown keys, a header may not.
MAX_IGNORED = 20
_T = TypeVar("_T")


@router.post(
    PATH,
    summary="Make pictures from a prompt",
    operation_id="createImage",
    responses={200: {"model": schema.Images}, **schema.problems(401, 429)},
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": fields.request_schema()}}}
    },
)
@router.post(PATH + "/", include_in_schema=False)
@router.post("/images/generations", include_in_schema=False)
@router.post("/images/generations/", include_in_schema=False)
async def generations(request: Request, here: Here) -> Response:
    """Draw `prompt` with `model`, and answer with URLs, base64 or both."""
    with here.life.at_work():
        wish = wire.read(await request.body(), request.headers.get("content-type", ""), strict=here.settings.strict)
        resolved = here.studio.request(wish.model, wish.prompt, wish.wishes)
        begun = time.perf_counter()
        images = await _while_wanted(request, here.life, _all(here.studio.generate(resolved), resolved))
        urls = await _keep(request, here, images, resolved) if wish.url else None
        body = wire.write(resolved, images, urls, b64=wish.b64)
    log.info(
        "%s drew %d of %dx%d for model %r in %.2f s",
        resolved.model, resolved.n, resolved.width, resolved.height, wish.model, time.perf_counter() - begun,
    )  # fmt: skip
    headers = {"x-limner-model": resolved.model}
    if wish.ignored:
        names = [urllib.parse.quote(name[:60].encode(errors="replace"), safe="[]") for name in wish.ignored]
        headers["x-limner-ignored"] = ", ".join(names[:MAX_IGNORED])
    return Response(body, media_type="application/json", headers=headers)


async def _all(events: AsyncGenerator[Event, None], wanted: ImageRequest) -> list[Image]:
    async with contextlib.aclosing(events):
        images = [event async for event in events if isinstance(event, Image)]
    if len(images) != wanted.n:
        raise EngineError(f"The engine gave {len(images)} of {wanted.n} pictures.")
    return images


async def _while_wanted(request: Request, life: Life, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of `work`, which is cancelled as soon as the client hangs up or the server's time is over."""
    working = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_hung_up(request))
    over = asyncio.ensure_future(life.over.wait())
    tasks = (working, gone, over)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        if over.done():
            raise NotReadyError("The server stopped before the picture was done.", code="draining", retry_after=2)
        raise InvalidRequestError("The client hung up.", code="cancelled")
    finally:
        for task in tasks:
            task.cancel()
        # Cancelling `working` closes the engine's iterator; this waits for the step that is under way.
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _keep(request: Request, here: Context, images: list[Image], wanted: ImageRequest) -> list[str]:
    base = base_url(request, here)
    kinds = [wire.MIMES.get(image.mime, wanted.output_format) for image in images]
    names = [
        await run_in_threadpool(here.store.put, image.data, kind) for image, kind in zip(images, kinds, strict=True)
    ]
    return [f"{base}/media/{name}" for name in names]


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
