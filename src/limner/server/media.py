"""GET and HEAD /media/{name}: a kept picture, to whoever knows its unguessable name."""

import re

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from limner.errors import InvalidRequestError
from limner.server import schema
from limner.server.context import Here
from limner.server.pieces import Pieces
from limner.server.problems import answer
from limner.types import OUTPUT_FORMATS

router = APIRouter(tags=["media"])
RANGE = re.compile(r"bytes=(\d{0,12})-(\d{0,12})", re.ASCII)


@router.get(
    "/media/{name}",
    summary="A picture",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": {mime: {} for mime in OUTPUT_FORMATS.values()}},
        206: {"description": "A part of it", "content": {mime: {} for mime in OUTPUT_FORMATS.values()}},
        304: {"description": "Not changed"},
        416: schema.PROBLEM,
        **schema.problems(),
    },
)
@router.head("/media/{name}", include_in_schema=False)
async def media(name: str, request: Request, here: Here) -> Response:
    """No key is needed: the name holds 128 random bits."""
    stored = await run_in_threadpool(here.kept, name)
    headers = {
        "etag": f'"{stored.id}"',
        # A name is never used again, so its bytes never change.
        "cache-control": "private, max-age=3600, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "content-disposition": f'inline; filename="{stored.name}"',
        "cross-origin-resource-policy": "cross-origin" if here.settings.allowed_origins else "same-site",
        "accept-ranges": "bytes",
    }
    if _unchanged(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    kind = OUTPUT_FORMATS[stored.output_format]
    part = _range(request, len(stored.data), headers["etag"])
    if part is None:
        return Pieces((stored.data,), media_type=kind, headers=headers)
    if not part:
        refused = answer(
            InvalidRequestError(f"The picture has {len(stored.data)} bytes.", code="range_not_satisfiable")
        )
        refused.status_code = 416
        refused.headers["content-range"] = f"bytes */{len(stored.data)}"
        return refused
    headers["content-range"] = f"bytes {part.start}-{part.stop - 1}/{len(stored.data)}"
    return Pieces((stored.data[part.start : part.stop],), media_type=kind, headers=headers, status=206)


def _unchanged(wanted: str, etag: str) -> bool:
    return wanted.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in wanted.split(",")]


def _range(request: Request, size: int, etag: str) -> range | None:
    """The one range that is asked for; None for the whole file, empty when there is nothing there.

    Several ranges at once get the whole file, as RFC 9110 allows: they are how small requests become large answers.
    """
    match = RANGE.fullmatch(request.headers.get("range", "").strip())
    # A part is of use to who has the rest of this very file, and says so by its ETag.
    if match is None or match[0] == "bytes=-" or request.headers.get("if-range", etag) != etag:
        return None
    first, last = match[1], match[2]
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(size, int(last) + 1 if last else size))
