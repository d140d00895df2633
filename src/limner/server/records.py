"""GET and DELETE /v1/images/{id}: what is known of a kept picture, and the end of it.

Nothing is kept beside the picture: what made it is read from the file itself.
"""

from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from limner import codecs
from limner.server import schema
from limner.server.addresses import spelled
from limner.server.answers import base_url
from limner.server.auth import with_key
from limner.server.context import Context, Here
from limner.store import Stored

router = APIRouter(dependencies=with_key, tags=["images"])
# Words that stand where an id would, and take POST only.
WORDS = ("generations", "edits", "variations")


@spelled(
    router.get,
    "/v1/images/{id}",
    summary="What is known of a picture",
    operation_id="getImage",
    responses={200: {"model": schema.Record}, **schema.problems(401)},
)
async def record(id: str, request: Request, here: Here) -> dict[str, Any]:
    """Its kind, its URL, when it goes, and its recipe. `id` is the name in its URL, with or without the extension."""
    stored = await run_in_threadpool(_find, here, id)
    size, made, text = await run_in_threadpool(codecs.inspect, stored.data)
    return {
        "id": stored.id,
        "object": "image",
        "state": "succeeded",
        "created": int(stored.created),
        "expires_at": int(stored.created + here.settings.picture_ttl),
        "url": f"{base_url(request, here)}/media/{stored.name}",
        "output_format": stored.output_format,
        "bytes": len(stored.data),
        "size": str(size),
        "recipe": made,
        "parameters": text,
    }


@spelled(
    router.delete,
    "/v1/images/{id}",
    summary="Delete a picture",
    operation_id="deleteImage",
    responses={200: {"model": schema.Deleted}, **schema.problems(401)},
)
async def delete(id: str, here: Here) -> dict[str, Any]:
    """Delete it now instead of when it is old."""
    stored = await run_in_threadpool(_find, here, id)
    await run_in_threadpool(here.store.delete, stored.name)
    return {"id": stored.id, "object": "image", "deleted": True}


def _find(here: Context, name: str) -> Stored:
    if name in WORDS:
        raise HTTPException(405, headers={"Allow": "POST"})
    return here.kept(name)
