"""A picture by itself: who sends `Accept: image/png` gets the file and no JSON around it."""

import json
from typing import Any

from limner import codecs
from limner.errors import InvalidRequestError
from limner.server.pieces import Base64, Piece
from limner.server.wire import MIMES, Wish
from limner.types import OUTPUT_FORMATS, ImageRequest

# Fields of a recipe that stay out of the header: the client has just sent them, and they may be long.
UNTOLD = ("prompt", "negative_prompt")


def bare_format(accept: str, wish: Wish, asked: ImageRequest) -> str | None:
    """The format of the bare picture that `accept` asks for, a key of OUTPUT_FORMATS; None where JSON is as welcome.

    Raises:
        InvalidRequestError: the rest of the request asks for what is not one picture of that kind.
    """
    ranges = _ranges(accept)
    liked = {name: max(ranges.get(mime, 0.0), ranges.get("image/*", 0.0)) for mime, name in MIMES.items()}
    best = max(liked.values())
    if best <= max(ranges.get(kind, 0.0) for kind in ("application/json", "application/*", "*/*")):
        return None
    # In the order in which they are named, which is how people put what they like best.
    order = sorted((name for name in liked if liked[name] == best), key=lambda name: accept.find(OUTPUT_FORMATS[name]))
    given = wish.wishes.get("output_format")
    if given is not None and not liked.get(given):
        raise InvalidRequestError(
            f"output_format is {given}, which the Accept header does not take; leave one of the two out.",
            param="output_format",
        )
    if asked.n != 1:
        raise InvalidRequestError(
            f"Accept: {OUTPUT_FORMATS[order[0]]} is answered with one picture: n must be 1, or Accept: */*.",
            param="n",
        )
    if wish.stream:
        raise InvalidRequestError(
            f"stream is answered with events; leave it out, or Accept: {OUTPUT_FORMATS[order[0]]}.", param="stream"
        )
    found = given or order[0]
    if found == "jpeg" and asked.background == "transparent":
        raise InvalidRequestError(
            "background can be transparent in png and webp only; Accept: image/png or image/webp.", param="background"
        )
    return found


def _ranges(accept: str) -> dict[str, float]:
    """The media ranges of an Accept header, each with its quality, 0..1; what cannot be read is left out."""
    found: dict[str, float] = {}
    for part in accept.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip() == "q":
                try:
                    quality = min(1.0, max(0.0, float(value)))
                except ValueError:
                    quality = 0.0
        if kind:
            found[kind] = max(quality, found.get(kind, 0.0))
    return found


def mime_of(picture: Piece) -> str:
    """The kind of a picture, by its first bytes: an engine may give another one than was asked for."""
    data = picture.data if isinstance(picture, Base64) else picture
    if data.startswith(b"\x89PNG"):
        return OUTPUT_FORMATS["png"]
    return OUTPUT_FORMATS["jpeg" if data.startswith(b"\xff\xd8") else "webp"]


def recipe_headers(asked: ImageRequest, *, weights: str, version: str, metadata: str) -> dict[str, str]:
    """What would stand in the JSON, as headers: the seed, and the recipe as JSON without its prompts."""
    headers = {"x-limner-seed": str(asked.seed)}
    if metadata != "none":
        made: dict[str, Any] = codecs.recipe(asked, asked.seed, weights=weights, version=version)
        told = {name: value for name, value in made.items() if name not in UNTOLD}
        headers["x-limner-recipe"] = json.dumps(told, separators=(",", ":"))
    return headers
