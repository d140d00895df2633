"""POST /v1/images/edits and /v1/images/variations: pictures that begin with pictures.

A body is a form with files or a JSON object with references to them. Either becomes the same document that a
generation has, and files beside it, which are decoded under limits (`uploads`) once the rest of the body has been read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from limner.errors import InvalidRequestError
from limner.server import fields, schema, stream, wire
from limner.server.addresses import spelled
from limner.server.answers import resolved_of, respond
from limner.server.auth import with_key
from limner.server.context import Context, Here
from limner.server.forms import Part, parts_of
from limner.server.references import Reference, found, referred
from limner.server.values import wrong_type
from limner.sources import Source, check_count

router = APIRouter(dependencies=with_key, tags=["images"])
EDITS, VARIATIONS = "/v1/images/edits", "/v1/images/variations"
# Every address of either ends so.
ENDINGS = ("/images/edits", "/images/variations")
DEPLOYMENT = "/v1/openai/deployments/{model:path}/images/edits"
# `image`, `image[]`, `image[0]`, `images`, the mask likewise, and what other servers call them.
PICTURE = re.compile(
    r"((?P<image>image|(ref|reference|init)_image|file)|(?P<mask>mask|mask_image)|(?P<url>image_url|url))s?(\[\d*\])?"
)
# The longest side that further pictures of an edit are kept at; the first keeps what the model can use.
FURTHER_SIDE = 1024


@dataclass
class Sent:
    """A body, read: text, and files that nobody has looked into, or where they are."""

    document: dict[str, Any] = field(default_factory=dict[str, Any])
    images: list[bytes | Reference] = field(default_factory=list[bytes | Reference])
    masks: list[bytes | Reference] = field(default_factory=list[bytes | Reference])

    def place(self, match: re.Match[str]) -> tuple[list[bytes | Reference], str]:
        """Where a picture of that name belongs, and what messages call it there."""
        return (self.masks, "mask") if match["mask"] else (self.images, f"image[{len(self.images)}]")

    def checked(self) -> "Sent":
        """Itself, if the pictures are not too many, which is told before the first of them is decoded."""
        check_count(len(self.images))
        if len(self.masks) > 1:
            raise InvalidRequestError("mask may be one picture; it belongs to the first image.", param="mask")
        return self


def _described(operation: str, summary: str, table: Sequence[fields.Field], *, masked: bool) -> dict[str, Any]:
    return {
        "summary": summary,
        "operation_id": operation,
        "responses": {200: schema.IMAGES, **schema.problems(401, 429)},
        "openapi_extra": {"requestBody": {"required": True, "content": fields.upload_content(table, masked=masked)}},
    }


@spelled(router.post, EDITS, **_described("createImageEdit", "Edit a picture", fields.EDIT_FIELDS, masked=True))
async def edits(request: Request, here: Here) -> Response:
    """Draw `prompt` over the pictures sent, everywhere or where a mask says; answered as a generation is."""
    return await _edit(request, here)


@spelled(router.post, DEPLOYMENT, include_in_schema=False)
async def deployment(model: str, request: Request, here: Here) -> Response:
    """The same for clients of Azure, who name the model in the path."""
    return await _edit(request, here, model)


@spelled(
    router.post, VARIATIONS, **_described("createImageVariation", "Vary a picture", fields.VARY_FIELDS, masked=False)
)
async def variations(request: Request, here: Here) -> Response:
    """Draw the picture sent once more, a little otherwise; no prompt is needed."""
    return await _edit(request, here, prompted=False)


async def _edit(request: Request, here: Context, model: str | None = None, *, prompted: bool = True) -> Response:
    with here.life.at_work():
        return await edited(request, here, await _read(request), model, prompted=prompted)


async def edited(
    request: Request,
    here: Context,
    sent: Sent,
    model: str | None = None,
    *,
    prompted: bool = True,
    kind: str = stream.EDIT,
) -> Response:
    """Do the edit that was sent; `kind` is what stream events are named after. Raises LimnerError."""
    wish = wire.understand(
        sent.document,
        table=fields.EDIT_FIELDS if prompted else fields.VARY_FIELDS,
        prompted=prompted,
        strict=here.settings.strict,
        model=model,
    )
    if not sent.images:
        raise InvalidRequestError(
            "image is missing: send the picture to begin with.", param="image", code="missing_required_parameter"
        )
    if sent.masks and not prompted:
        raise InvalidRequestError("A variation takes no mask; edits do.", param="mask")
    # Everything else is looked at before the pictures, which cost the most.
    side = here.studio.card(wish.model).max_side
    files = await found(here, request.receive, [*sent.images, *sent.masks])
    pictures = await run_in_threadpool(_decode, here, files[: len(sent.images)], files[len(sent.images) :], side)
    if prompted and not sent.masks and (wish.model or "").startswith("dall-e"):
        pictures |= _own_mask(pictures["images"][0])
    wish = replace(wish, wishes={**wish.wishes, **pictures})
    wish, resolved = resolved_of(here, wish)
    return await respond(request, here, wish, resolved, kind)


def _decode(here: Context, files: list[bytes], masks: list[bytes], max_side: int) -> dict[str, Any]:
    images: list[Source] = []
    for index, data in enumerate(files):
        side = min(max_side, FURTHER_SIDE) if index else max_side
        images.append(here.reader.picture(data, param=f"image[{index}]", max_side=side))
    decoded: dict[str, Any] = {"images": tuple(images)}
    if masks:
        decoded["mask"] = here.reader.mask(masks[0], param="mask", like=images[0])
    return decoded


def _own_mask(picture: Source) -> dict[str, Any]:
    """With dall-e names a picture without a mask is its own: what is transparent in it is drawn."""
    alpha = picture.pixels[3::4]
    return {"mask": alpha.translate(bytes(range(255, -1, -1)))} if 0 in alpha else {}


async def _read(request: Request) -> Sent:
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    body = await request.body()
    if kind == "multipart/form-data":
        sent = _of_form(await run_in_threadpool(parts_of, body, content_type))
    elif kind == "application/json":
        sent = of_json(wire.object_of(body))
    else:
        raise InvalidRequestError(
            "The body must be multipart/form-data with the picture as a file, or JSON with a data URL.",
            code="unsupported_media_type",
        )
    return sent


def _of_form(parts: list[Part]) -> Sent:
    sent = Sent()
    for part in parts:
        # A browser sends an empty part for a field in which nothing was chosen, and clients "" for "not set".
        if not part.data:
            continue
        if match := PICTURE.fullmatch(part.name):
            files, param = sent.place(match)
            if part.filename is None and not match["url"]:
                raise wrong_type(param, "a file", part.name)
            files.append(referred(part.text(), param) if part.filename is None else bytes(part.data))
        elif part.name in sent.document:
            raise InvalidRequestError(
                f"The field {part.name[:80]!r} occurs twice.", param=part.name[:80], code="invalid_multipart"
            )
        else:
            sent.document[part.name] = part.text()
    return sent.checked()


def of_json(document: dict[str, Any]) -> Sent:
    """An object, its pictures taken out of it; it may have none. Raises InvalidRequestError."""
    sent = Sent()
    for key, value in document.items():
        if not (match := PICTURE.fullmatch(key)):
            sent.document[key] = value
        elif value not in (None, ""):
            for one in cast("list[Any]", value) if isinstance(value, list) else [value]:
                files, param = sent.place(match)
                files.append(referred(one, param))
    return sent.checked()
