"""Pictures that a body does not hold but names: by a data URL, by a URL to fetch, or by the id of one kept here."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive

from limner.errors import InvalidRequestError, NotFoundError
from limner.server.context import Context
from limner.server.waiting import while_wanted

DATA_URL = re.compile(r"data:image/[\w.+-]+;base64,", re.IGNORECASE | re.ASCII)
# What ids of files begin with, where a program looks at that; what follows is the id of a kept picture.
FILE = "file-"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where a picture is that has not been looked for yet."""

    # Which field named it.
    param: str
    # To fetch; "" when it is kept here.
    url: str = ""
    # The name that it is kept under here, with or without its extension.
    name: str = ""


def referred(value: Any, param: str) -> bytes | Reference:
    """What `{"image_url": …}`, `{"file_id": …}` or a URL by itself refers to; a data URL is the file itself.

    Raises:
        InvalidRequestError: none of these, or two of them.
    """
    if isinstance(value, dict):
        reference = cast("dict[str, Any]", value)
        url = reference.get("image_url", reference.get("url"))
        file_id = reference.get("file_id")
        if url is not None and file_id is not None:
            raise InvalidRequestError(f"{param} has both image_url and file_id; send one.", param=param)
        if file_id is not None:
            return _of_id(file_id, param)
        value = cast("dict[str, Any]", url).get("url") if isinstance(url, dict) else url
    if not isinstance(value, str):
        raise InvalidRequestError(
            f'{param} must be an object such as {{"image_url": "data:image/png;base64,…"}} or {{"file_id": "file-…"}}.',
            param=param,
            code="invalid_type",
        )
    if value[:8].lower().startswith(("http://", "https://")):
        return Reference(param=param, url=value)
    return _of_data_url(value, param)


def _of_id(file_id: Any, param: str) -> Reference:
    if not isinstance(file_id, str):
        raise InvalidRequestError(f"{param}: file_id must be a string.", param=param, code="invalid_type")
    return Reference(param=param, name=file_id.removeprefix(FILE))


def _of_data_url(value: str, param: str) -> bytes:
    if not (match := DATA_URL.match(value)):
        raise InvalidRequestError(
            f"{param} must be a URL that begins with https:// or with data:image/png;base64, (or jpeg, or webp).",
            param=param,
            code="invalid_image_url",
        )
    try:
        return base64.b64decode(value[match.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            f"{param}: the data URL is not valid base64.", param=param, code="invalid_base64_image"
        ) from None


async def found(here: Context, receive: Receive, sent: Sequence[bytes | Reference]) -> list[bytes]:
    """The files, in order: those that are named by URL fetched, those that are kept here read.

    Raises:
        InvalidRequestError: one is not to be had; `param` names it. Or the client hung up meanwhile.
    """
    named = [each for each in sent if isinstance(each, Reference)]
    files = {each: await run_in_threadpool(_kept, here, each) for each in named if not each.url}
    urls = list(dict.fromkeys(each for each in named if each.url))
    if urls:
        fetching = here.fetcher.pictures([(each.url, each.param) for each in urls])
        files |= dict(zip(urls, await while_wanted(receive, here.life, fetching), strict=True))
    return [files[each] if isinstance(each, Reference) else each for each in sent]


def _kept(here: Context, reference: Reference) -> bytes:
    try:
        return here.kept(reference.name).data
    except NotFoundError:
        raise InvalidRequestError(
            f"{reference.param}: nothing is kept under this file_id; take the id of a file of /v1/files, or the name "
            "of a picture in its URL. They are deleted when they are old.",
            param=reference.param,
            code="file_not_found",
        ) from None
