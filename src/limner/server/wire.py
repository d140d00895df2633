"""OpenAI's images JSON, in and out.

`fields.FIELDS` says what a body may hold. Here are errors of shape only (types, names, syntax); errors of meaning
are found by `ModelCard.request`.
"""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from limner.errors import InvalidRequestError
from limner.server.fields import FIELDS, Field, names_of
from limner.server.pieces import Base64, Chunk, Piece
from limner.server.values import CONVERT
from limner.types import OUTPUT_FORMATS, Image, ImageRequest, Size, nearest

MIMES = {mime: name for name, mime in OUTPUT_FORMATS.items()}
# A picture counts one token for each patch of so many pixels square, a prompt one for each four bytes of UTF-8.
TOKEN_PATCH = 16
TOKEN_BYTES = 4
# SiliconFlow's names; its clients read `images[].url`.
LISTED_FOR = ("image_size", "batch_size")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A body, read: what it asks for, in our names."""

    # The name that was asked for; None for the default model.
    model: str | None
    prompt: str
    # Arguments of `ModelCard.request`.
    wishes: Mapping[str, Any]
    # Whether each picture comes as a URL, as base64, or as both.
    url: bool
    b64: bool
    # The kind that was named; None where the model's name decided.
    response_format: str | None
    # Whether the pictures come as events while they are made.
    stream: bool
    # Whether the answer also lists the URLs under `images`, as the clients need that ask by these names.
    listed: bool
    # Keys of the body that had no effect.
    ignored: tuple[str, ...]


def document_of(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object that the body of a generation request is. Raises InvalidRequestError."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise InvalidRequestError(
            "The body must be JSON, sent with the header Content-Type: application/json.", code="unsupported_media_type"
        )
    return object_of(body)


def understand(
    document: Mapping[str, Any],
    *,
    table: Sequence[Field] = FIELDS,
    prompted: bool = True,
    strict: bool = False,
    model: str | None = None,
) -> Wish:
    """Read an object whose keys are those of `table`, with a prompt or not.

    `strict` refuses unknown keys instead of naming them in `ignored`. `model` is the one that the path names: it
    counts, and another in the body is ignored.

    Raises:
        InvalidRequestError: a key is missing or of a wrong type; `param` names the field.
    """
    known = names_of(table)
    unknown = [key for key in document if key not in known]
    if unknown and strict:
        raise _unknown(unknown[0], list(known))
    found = _typed(document, known)
    if "prompt" not in found and prompted:
        raise InvalidRequestError(
            "prompt is missing: say what to draw.", param="prompt", code="missing_required_parameter"
        )
    _merge_size(found)
    ignored = [*unknown, *(field.name for field in table if field.ignored and field.name in found)]
    wishes = {field.name: found[field.name] for field in table if field.wish and field.name in found}
    wishes["n"] = wishes.get("n") or _seeds(document) or 1
    if _seeds(document) not in (0, wishes["n"]):
        raise InvalidRequestError("seed must be one seed, or a list of as many as n says.", param="seed")
    if wishes.get("output_format") == "jpg":
        wishes["output_format"] = "jpeg"
    if wishes.get("output_compression", 100) != 100 and wishes.get("output_format", "png") == "png":
        ignored.append("output_compression")
    if model and found.get("model") not in (None, "", model):
        ignored.append("model")
    model = model or found.get("model") or None
    stream = found.get("stream", False)
    url, b64 = _answer_kinds(document, found.get("response_format"), model)
    if stream:
        # Events carry base64, as OpenAI's do, unless URLs are wanted in so many words.
        url = found.get("response_format") == "url"
        b64 = not url
    return Wish(
        model=model,
        prompt=found.get("prompt", ""),
        wishes=wishes,
        url=url,
        b64=b64,
        response_format=found.get("response_format"),
        stream=stream,
        listed=any(document.get(name) is not None for name in LISTED_FOR),
        ignored=tuple(ignored),
    )


def object_of(body: bytes) -> dict[str, Any]:
    """The JSON object that a body holds. Raises InvalidRequestError."""
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_once)
    # ValueError: not UTF-8, not JSON, or a whole number of more than 4,300 digits.
    except (ValueError, RecursionError) as error:
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidRequestError(f"The body is not valid JSON{where}.", code="invalid_json") from None
    if not isinstance(document, dict):
        raise InvalidRequestError('The body must be a JSON object, such as {"prompt": "a cat"}.', code="invalid_json")
    return document  # pyright: ignore[reportUnknownVariableType]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)[:80]
        raise InvalidRequestError(f"The key {twice!r} occurs twice.", param=twice, code="invalid_json")
    return found


def _typed(document: Mapping[str, Any], known: Mapping[str, Field]) -> dict[str, Any]:
    """Every known key that is not null, under its own name, converted."""
    found: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for key, value in document.items():
        field = known.get(key)
        if field is None or value is None:
            continue
        converted = CONVERT[field.kind](key, value)
        if found.setdefault(field.name, converted) != converted:
            raise InvalidRequestError(f"{said_by[field.name]} and {key} mean the same and differ; send one.", param=key)
        said_by.setdefault(field.name, key)
    return found


def _seeds(document: Mapping[str, Any]) -> int:
    """How many seeds a list of them holds; 0 where there is none."""
    lists = (document[name] for name in ("seed", "rng_seed") if isinstance(document.get(name), list))
    return len(next(lists, ()))


def _merge_size(found: dict[str, Any]) -> None:
    sides = {name: found[name] for name in ("width", "height") if name in found}
    if not sides:
        return
    if len(sides) == 1:
        there, missing = ("width", "height") if "width" in sides else ("height", "width")
        raise InvalidRequestError(
            f"{there} needs {missing} beside it.", param=missing, code="missing_required_parameter"
        )
    size = str(Size(width=sides["width"], height=sides["height"]))
    if found.setdefault("size", size) not in (size, "auto", ""):
        raise InvalidRequestError("size differs from width and height; send one of them.", param="size")
    found["size"] = size


def _answer_kinds(document: Mapping[str, Any], wanted: str | None, model: str | None) -> tuple[bool, bool]:
    """(url, b64_json). Clients differ in what they need when they do not say, and go by the model's name."""
    if wanted is not None:
        if wanted not in ("url", "b64_json", "base64"):
            raise InvalidRequestError(
                f"response_format must be url, b64_json or base64; got {wanted[:40]!r}.", param="response_format"
            )
        return wanted == "url", wanted != "url"
    if "response_format" in document:
        return True, False
    if (model or "").startswith(("gpt-image", "chatgpt-image")):
        return False, True
    return True, not (model or "").startswith("dall-e")


def refuse_ignored(name: str) -> NoReturn:
    """What a strict server says of a field that it knows and that has no effect here."""
    raise InvalidRequestError(
        f"Unknown parameter: {name[:80]!r}. It has no effect here, and this server is strict (LIMNER_STRICT).",
        param=name[:80],
        code="unknown_parameter",
    )


def _unknown(key: str, known: Sequence[str]) -> InvalidRequestError:
    close = nearest(key, known, count=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return InvalidRequestError(f"Unknown parameter: {key[:80]!r}.{hint}", param=key[:80], code="unknown_parameter")


def usage(request: ImageRequest) -> dict[str, Any]:
    """Token counts in the manner of the images API: TOKEN_BYTES and TOKEN_PATCH say how they are counted."""
    text = math.ceil(len(request.prompt.encode()) / TOKEN_BYTES)
    seen = sum(_patches(source.width, source.height) for source in request.images)
    return {
        "input_tokens": text + seen,
        "output_tokens": _made(request),
        "total_tokens": text + seen + _made(request),
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
    }


def _made(request: ImageRequest) -> int:
    return request.n * _patches(request.width, request.height)


def _patches(width: int, height: int) -> int:
    return math.ceil(width / TOKEN_PATCH) * math.ceil(height / TOKEN_PATCH)


def format_of(request: ImageRequest, image: Image) -> str:
    """The format that the picture really has; an engine may give another one than was asked for."""
    return MIMES.get(image.mime, request.output_format)


def described(request: ImageRequest, image: Image) -> dict[str, Any]:
    """What the answer says of a picture's kind."""
    return {
        "background": request.background,
        "output_format": format_of(request, image),
        "quality": request.quality,
        "size": str(Size(width=request.width, height=request.height)),
    }


def write(
    request: ImageRequest, images: Sequence[Image], urls: Sequence[str] | None, *, b64: bool, listed: bool = False
) -> Chunk:
    """The answer's body. Picture bytes are joined into it as base64 and never go through a JSON encoder.

    `listed`: the URLs stand under `images` too.
    """
    parts: list[Piece] = []
    for index, image in enumerate(images):
        said: dict[str, Any] = {"url": urls[index]} if urls else {}
        said |= {"revised_prompt": image.prompt or request.prompt, "seed": image.seed}
        parts += [b"," if index else b"", *_pieces(said, image.data if b64 else None)]
    head: dict[str, Any] = {
        "created": int(time.time()),
        "model": request.model,
        **described(request, images[0]),
        "usage": usage(request) | {"output_tokens_details": {"text_tokens": 0, "image_tokens": _made(request)}},
    }
    if listed and urls:
        head["images"] = [{"url": url} for url in urls]
    return (json.dumps(head).encode()[:-1] + b',"data":[', *parts, b"]}")


def frame(said: Mapping[str, Any], picture: bytes | None = None) -> Chunk:
    """A server-sent event, named by `said["type"]`; `picture` becomes its `b64_json`."""
    return (b"event: " + said["type"].encode() + b"\ndata: ", *_pieces(said, picture), b"\n\n")


def _pieces(said: Mapping[str, Any], picture: bytes | None) -> list[Piece]:
    """The parts of a JSON object, with the picture joined in as `b64_json`."""
    data = json.dumps(said).encode()
    if picture is None:
        return [data]
    return [data[:-1] + b',"b64_json":"', Base64(picture), b'"}']
