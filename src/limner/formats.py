"""What kinds and shapes of pictures there are, and which a request asks for. Standard library only, as `types`."""

import math
import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from limner.errors import InvalidRequestError

# Pictures of these kinds can be written, each with its MIME type.
OUTPUT_FORMATS: Mapping[str, str] = MappingProxyType({"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"})
# What Pillow calls those that read them.
READERS = tuple(name.upper() for name in OUTPUT_FORMATS)
# The MIME type of pictures that an engine has not encoded: rows of RGB bytes, top to bottom, no padding.
RAW_RGB = "image/x-raw-rgb"
# The same with alpha, not premultiplied; PNG and WebP hold it.
RAW_RGBA = "image/x-raw-rgba"
# What a picture may stand on.
BACKGROUNDS = ("opaque", "transparent")


def file_of(given: dict[str, Any], abilities: Collection[str], *, model: str) -> dict[str, Any]:
    """Take output_format and background out of `given`, and give the request's fields for them.

    Raises:
        InvalidRequestError: one is not known, the model cannot do it, or the file cannot hold it; `param` names it.
    """
    output_format = given.pop("output_format", "png")
    if output_format not in OUTPUT_FORMATS:
        raise InvalidRequestError(
            f"output_format must be one of {', '.join(OUTPUT_FORMATS)}; got {str(output_format)[:40]!r}.",
            param="output_format",
        )
    background = given.pop("background", "auto")
    if background not in ("auto", *BACKGROUNDS):
        raise InvalidRequestError(
            f"background must be auto, {' or '.join(BACKGROUNDS)}; got {str(background)[:40]!r}.", param="background"
        )
    if background == "transparent" and output_format == "jpeg":
        raise InvalidRequestError(
            "background can be transparent in png and webp only; a jpeg holds no transparency.", param="background"
        )
    if background == "transparent" and "transparent" not in abilities:
        raise InvalidRequestError(
            f"{model} cannot draw on a transparent background; background may be auto or opaque.",
            param="background",
            code="unsupported",
        )
    return {"output_format": output_format, "background": "opaque" if background == "auto" else background}


def size_of_ratio(text: str, area: int, low: int, high: int) -> tuple[int, int]:
    """Width and height of the ratio that `text` says ("16:9"), of about so many pixels, each side from `low` to `high`.

    Raises:
        InvalidRequestError: it is no ratio, or one that the sides cannot have.
    """
    match = re.fullmatch(r"\s*(\d{1,5})\s*:\s*(\d{1,5})\s*", text, re.ASCII)
    across, down = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (across and down and max(across, down) * low <= high * min(across, down)):
        raise InvalidRequestError(
            f"a ratio must be such as 16:9, and at most {high // low}:1 or 1:{high // low}; got {text[:40]!r}.",
            param="size",
        )
    scale = math.sqrt(area / (across * down))
    scale = min(max(scale, low / min(across, down)), high / max(across, down))
    # Every codec and every model likes multiples of 8.
    width, height = (min(high, max(low, 8 * round(side * scale / 8))) for side in (across, down))
    return width, height
