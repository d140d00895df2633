"""Pictures that a wish starts from: an edit's and a variation's, and the mask of what may change.

Standard library only, as in `types`, which uses this for the part of a request that edits have and others have not.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from limner.errors import InvalidRequestError

# Pictures that one edit may start from.
MAX_SOURCES = 16
# `strength` for each `input_fidelity`, where no mask says what stays.
STRENGTHS = MappingProxyType({"low": 0.8, "high": 0.5})


@dataclass(frozen=True, kw_only=True)
class Source:
    """A decoded picture."""

    # Rows of RGBA bytes, top to bottom, no padding.
    pixels: bytes = field(repr=False)
    # Pixels.
    width: int
    # Pixels.
    height: int


def start_of(given: dict[str, Any], abilities: Collection[str], *, model: str, prompted: bool) -> dict[str, Any]:
    """Take images, mask, strength and input_fidelity out of `given`, and give the request's fields for them.

    Strength, 0 to 1, is how far the picture may leave its source. Where it is not given, it follows
    `input_fidelity`; a masked edit begins afresh inside the mask.

    Raises:
        InvalidRequestError: the model cannot do it, or a value is out of range; `param` names it.
    """
    images: tuple[Source, ...] = tuple(given.pop("images", ()))
    mask: bytes = given.pop("mask", b"")
    fidelity = given.pop("input_fidelity", None)
    strength = given.pop("strength", None)
    if not images:
        needless = {"mask": mask, "strength": strength, "input_fidelity": fidelity}
        name = next((name for name, value in needless.items() if value), None)
        if name:
            raise InvalidRequestError(f"{name} needs a picture to start from; send image.", param="image")
        if "generate" not in abilities:
            raise InvalidRequestError(
                f"{model} draws nothing from a prompt alone: send a picture to /v1/images/edits.", param="image"
            )
        return {"images": (), "mask": b"", "strength": 1.0}
    _check_abilities(abilities, model, "edit" if prompted else "vary", masked=bool(mask))
    _check_pictures(images, mask)
    if fidelity not in (None, *STRENGTHS):
        raise InvalidRequestError(
            f"input_fidelity must be {' or '.join(STRENGTHS)}; got {str(fidelity)[:40]!r}.", param="input_fidelity"
        )
    if strength is None:
        strength = 1.0 if mask and fidelity != "high" else STRENGTHS[fidelity or "low"]
    if not 0 <= strength <= 1:
        told = "below_min" if strength < 0 else "above_max"
        raise InvalidRequestError(
            f"strength must be from 0 to 1; got {strength}.", param="strength", code=f"decimal_{told}_value"
        )
    return {"images": images, "mask": mask, "strength": float(strength)}


def _check_abilities(abilities: Collection[str], model: str, needed: str, *, masked: bool) -> None:
    for ability, param in ((needed, "image"), *([("mask", "mask")] if masked else [])):
        if ability not in abilities:
            raise InvalidRequestError(
                f"{model} cannot {ability}; it can {', '.join(sorted(abilities))}.", param=param, code="unsupported"
            )


def check_count(count: int) -> None:
    """Hold the number of pictures to start from to MAX_SOURCES. Raises InvalidRequestError."""
    if count > MAX_SOURCES:
        raise InvalidRequestError(
            f"image may be at most {MAX_SOURCES} pictures; got {count}.", param="image", code="array_above_max_length"
        )


def _check_pictures(images: tuple[Source, ...], mask: bytes) -> None:
    check_count(len(images))
    for index, image in enumerate(images):
        if image.width < 1 or image.height < 1 or len(image.pixels) != 4 * image.width * image.height:
            raise InvalidRequestError("The picture's bytes are not its rows of RGBA.", param=f"image[{index}]")
    if mask and len(mask) != images[0].width * images[0].height:
        raise InvalidRequestError("mask must have one byte for each pixel of the first picture.", param="mask")
    if mask and not any(mask):
        raise InvalidRequestError(
            "mask marks nothing to repaint: make it transparent there, or white where nothing in it is transparent.",
            param="mask",
        )


def size_near(source: Source, low: int, high: int) -> tuple[int, int]:
    """The source's width and height, scaled so that no side is above `high`; then no side is below `low`."""
    scale = min(1.0, high / max(source.width, source.height))
    scale = max(scale, min(low / min(source.width, source.height), high / max(source.width, source.height)))
    width, height = (max(low, round(side * scale)) for side in (source.width, source.height))
    return width, height
