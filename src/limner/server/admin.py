"""The life of models over HTTP, for whoever has the admin key: pull, list, show, remove, what is in memory, stop.

Off unless LIMNER_ADMIN_KEY is set: what these routes do fills disks and empties memory.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from limner.errors import InvalidRequestError, LimnerError, ModelNotFoundError, PermissionDeniedError
from limner.models.gallery import Gallery
from limner.models.pull import Offer, Step, offer, pull
from limner.server import schema, wire
from limner.server.auth import bearer, check_key, require_key
from limner.server.context import Context, Here

# What a pull may say, with the kinds that JSON has.
FIELDS: Mapping[str, type] = {"model": str, "name": str, "variant": str, "accept_licence": bool, "stream": bool}
# Bytes between two lines that tell how far a pull is.
EVERY = 8 << 20


async def require_admin(request: Request, here: Here) -> None:
    """Let the request in when it carries the admin key.

    Raises:
        PermissionDeniedError: the server has none, so nobody may.
        AuthenticationError: no key or a wrong one.
    """
    if here.admin is None or here.gallery is None:
        # A stranger is told no more than elsewhere.
        await require_key(request, here)
        raise PermissionDeniedError(
            "Models are not managed over HTTP here: start the server with LIMNER_ADMIN_KEY to allow it to whoever has "
            "that key.",
            code="admin_off",
        )
    check_key(request, here.admin)


router = APIRouter(prefix="/admin", dependencies=[Depends(require_admin), Depends(bearer)], tags=["admin"])


@router.get("/models", summary="The pulled models", responses={200: {"model": schema.Pulled}, **schema.problems(401)})
async def list_models(here: Here) -> dict[str, Any]:
    """Each with what it is, whether it can run here, and its place in memory."""
    gallery = _gallery(here)
    return {"models": [_told(gallery, name) for name in await run_in_threadpool(gallery.shelf.all)]}


@router.get("/ps", summary="The models in memory", responses={200: {"model": schema.Pulled}, **schema.problems(401)})
async def ps(here: Here) -> dict[str, Any]:
    """Those that are loaded, with their memory and when they go."""
    states = _gallery(here).states()
    return {"models": [{"name": name, **state} for name, state in states.items() if state["loaded"]]}


@router.post(
    "/models/pull",
    summary="Pull a model",
    responses={200: schema.PULL, **schema.problems(401, 502)},
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": schema.PULL_BODY}}}},
)
async def pull_model(request: Request, here: Here) -> Response:
    """The catalogue's name or OWNER/NAME[@REVISION] in `model`; `accept_licence: true` where it asks for that."""
    gallery = _gallery(here)
    asked = _asked(await request.body())
    offered = await run_in_threadpool(offer, asked["model"], name=asked.get("name"), variant=asked.get("variant"))
    lines = _lines(gallery, offered, asked.get("accept_licence", False))
    # What can be refused is refused before a status has been sent.
    first = await anext(lines)
    if not asked.get("stream", True):
        last = first
        async for line in lines:
            last = line
        if "error" in last:
            raise last["error"]
        return Response(json.dumps(last), media_type="application/json")
    return StreamingResponse(_encoded(first, lines), media_type="application/x-ndjson")


@router.get("/models/{name:path}", summary="One pulled model", responses={**schema.problems(401)})
async def show(name: str, here: Here) -> dict[str, Any]:
    """What `limner show` tells."""
    gallery = _gallery(here)
    await run_in_threadpool(gallery.shelf.get, name)
    return _told(gallery, name)


@router.delete("/models/{name:path}", summary="Remove a model", responses={**schema.problems(401)})
async def remove(name: str, here: Here) -> dict[str, Any]:
    """Forget it and delete its files; its running requests end first."""
    gallery = _gallery(here)
    freed = await run_in_threadpool(gallery.shelf.remove, name)
    gallery.engines()
    return {"name": name, "removed": True, "bytes_freed": freed}


@router.post("/models/{name:path}/stop", summary="Unload a model", responses={**schema.problems(401)})
async def stop(name: str, here: Here) -> dict[str, Any]:
    """Take it out of memory, as soon as its running requests have ended."""
    resident = _gallery(here).resident(name)
    if resident is None:
        raise ModelNotFoundError(f"{name[:80]!r} is no pulled model that runs here.", param="model")
    was = await resident.dismiss()
    return {"name": name, "was_loaded": was, "loaded": resident.state().loaded}


def _gallery(here: Context) -> Gallery:
    assert here.gallery is not None
    return here.gallery


def _told(gallery: Gallery, name: str) -> dict[str, Any]:
    kept = gallery.shelf.get(name)
    return kept.told() | {"why_not": gallery.absent().get(name, ""), "state": gallery.states().get(name)}


def _asked(body: bytes) -> dict[str, Any]:
    asked = {key: value for key, value in wire.object_of(body).items() if value is not None}
    for key, value in asked.items():
        if key not in FIELDS:
            raise InvalidRequestError(
                f"A pull has the fields {', '.join(FIELDS)}; got {key[:40]!r}.", param=key, code="unknown_parameter"
            )
        if not isinstance(value, FIELDS[key]):
            raise InvalidRequestError(f"{key} must be a {FIELDS[key].__name__}.", param=key)
    if not asked.get("model"):
        raise InvalidRequestError("model must name what to pull, such as flux-schnell or OWNER/NAME.", param="model")
    return asked


async def _lines(gallery: Gallery, offered: Offer, accepted: bool) -> AsyncGenerator[dict[str, Any], None]:
    """How far it is, and last the model or what went wrong. Closing it stops the pull; it can go on later."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    wanted = True
    told = -EVERY

    def tell(step: Step) -> None:
        nonlocal told
        if not wanted:
            raise InvalidRequestError("The caller hung up.", code="cancelled")
        if step.done - told >= EVERY or step.done == step.total:
            told = step.done
            line = {"status": "pulling", "file": step.path, "done": step.done, "total": step.total}
            loop.call_soon_threadsafe(coming.put_nowait, line)

    def bring() -> dict[str, Any]:
        try:
            return pull(offered, gallery.shelf, accepted=accepted, told=tell).told()
        finally:
            loop.call_soon_threadsafe(coming.put_nowait, None)

    work = asyncio.create_task(asyncio.to_thread(bring))
    begun = False
    try:
        while (line := await coming.get()) is not None:
            begun = True
            yield line
        yield {"status": "success", "model": await work}
    except LimnerError as error:
        if not begun:
            raise
        yield {"status": "error", "error": error}
    finally:
        wanted = False
        await asyncio.gather(work, return_exceptions=True)


async def _encoded(first: dict[str, Any], lines: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    try:
        yield _encode(first)
        async for line in lines:
            yield _encode(line)
    finally:
        await lines.aclose()


def _encode(line: Mapping[str, Any]) -> bytes:
    error = line.get("error")
    return json.dumps({**line, **(error.body() if isinstance(error, LimnerError) else {})}).encode() + b"\n"
