"""POST /v1/files and what belongs to it: a picture sent once, and named by its id in as many edits as one likes.

Files are pictures of the store, like those that were drawn here: nothing is kept beside them, they go when they are
old, and their list is told to nobody, because whoever knows an id may have the picture.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from limner.errors import InvalidRequestError
from limner.server import schema
from limner.server.addresses import spelled
from limner.server.answers import ignored_header
from limner.server.auth import with_key
from limner.server.context import Context, Here
from limner.server.forms import Part, parts_of
from limner.server.references import FILE
from limner.server.values import wrong_type
from limner.store import Stored
from limner.types import OUTPUT_FORMATS

router = APIRouter(dependencies=with_key, tags=["files"])
PATH, ENDING = "/v1/files", "/files"
ONE = PATH + "/{id}"
# Of OpenAI's purposes those for which a picture is a file like any other.
PURPOSES = ("vision", "user_data")
FORM: dict[str, Any] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "PNG, JPEG or WebP."},
        "purpose": {"type": "string", "enum": list(PURPOSES)},
    },
}


@spelled(
    router.post,
    PATH,
    summary="Keep a picture to edit it later",
    operation_id="createFile",
    responses={200: {"model": schema.File}, **schema.problems(401)},
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}},
)
async def create(request: Request, response: Response, here: Here) -> dict[str, Any]:
    """Its `id` is what edits take as `file_id`. Files go when they are old, whatever `expires_after` says."""
    with here.life.at_work():
        content_type = request.headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
            raise InvalidRequestError(
                "The body must be multipart/form-data with file and purpose.", code="unsupported_media_type"
            )
        sent = await run_in_threadpool(parts_of, await request.body(), content_type)
        parts = {part.name: part for part in sent}
        if len(parts) < len(sent):
            raise InvalidRequestError("A field occurs twice.", code="invalid_multipart")
        data, purpose = _file(parts), _purpose(parts)
        if ignored := sorted(parts.keys() - {"file", "purpose"}):
            response.headers["x-limner-ignored"] = ignored_header(ignored)
        return _told(here, await run_in_threadpool(_keep, here, data), purpose)


@spelled(
    router.get,
    ONE,
    summary="What is known of a file",
    operation_id="getFile",
    responses={200: {"model": schema.File}, **schema.problems(401)},
)
async def file(id: str, here: Here) -> dict[str, Any]:
    """Its size, and when it goes."""
    return _told(here, await run_in_threadpool(here.kept, id.removeprefix(FILE)), PURPOSES[0])


@spelled(
    router.get,
    ONE + "/content",
    summary="A file itself",
    operation_id="getFileContent",
    response_class=Response,
    responses={
        200: {"description": "The file", "content": {mime: {} for mime in OUTPUT_FORMATS.values()}},
        **schema.problems(401),
    },
)
async def content(id: str, here: Here) -> Response:
    """The bytes that were sent."""
    stored = await run_in_threadpool(here.kept, id.removeprefix(FILE))
    headers = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}
    return Response(stored.data, media_type=OUTPUT_FORMATS[stored.output_format], headers=headers)


@spelled(
    router.delete,
    ONE,
    summary="Delete a file",
    operation_id="deleteFile",
    responses={200: {"model": schema.DeletedFile}, **schema.problems(401)},
)
async def delete(id: str, here: Here) -> dict[str, Any]:
    """Delete it now instead of when it is old."""
    stored = await run_in_threadpool(here.kept, id.removeprefix(FILE))
    await run_in_threadpool(here.store.delete, stored.name)
    return {"id": FILE + stored.id, "object": "file", "deleted": True}


def _keep(here: Context, data: bytes) -> Stored:
    # Decoded, so that nothing but pictures is kept and served.
    kind = here.reader.kind(data, param="file")
    return here.store.get(here.store.put(data, kind))


def _told(here: Context, stored: Stored, purpose: str) -> dict[str, Any]:
    return {
        "id": FILE + stored.id,
        "object": "file",
        "bytes": len(stored.data),
        "created_at": int(stored.created),
        "expires_at": int(stored.created + here.settings.picture_ttl),
        "filename": stored.name,
        "purpose": purpose,
        "status": "processed",
    }


def _file(parts: dict[str, Part]) -> bytes:
    if not (part := parts.get("file")) or not part.data:
        raise InvalidRequestError(
            "file is missing: send the picture to keep.", param="file", code="missing_required_parameter"
        )
    if part.filename is None:
        raise wrong_type("file", "a file", "")
    return bytes(part.data)


def _purpose(parts: dict[str, Part]) -> str:
    if not (part := parts.get("purpose")) or not part.data:
        raise InvalidRequestError(
            "purpose is missing; it is vision.", param="purpose", code="missing_required_parameter"
        )
    purpose = part.text()
    if purpose not in PURPOSES:
        raise InvalidRequestError(
            f"purpose must be {' or '.join(PURPOSES)}, because this server keeps pictures only; got {purpose[:40]!r}.",
            param="purpose",
        )
    return purpose
