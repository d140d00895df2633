"""Small sets of weights that a request adds to a model's own (LoRA), and the scheduler that it chooses.

Standard library only, as in `types`, which uses this for a part of a request that few models have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from limner.errors import InvalidRequestError

# LoRAs that one request may add.
MAX_LORAS = 8
# How far a scale may go either way; 1 is as it was trained.
MAX_SCALE = 4.0
MAX_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Lora:
    """One LoRA of a request."""

    # Its file in the server's folder of LoRAs, with / between folders and without .safetensors.
    name: str
    # How much of it is added; 0 is nothing, below 0 is its opposite.
    scale: float = 1.0


def style_of(
    given: dict[str, Any], abilities: Sequence[str], schedulers: Sequence[str], *, model: str
) -> dict[str, Any]:
    """Take loras and scheduler out of `given`, and give the request's fields for them.

    Raises:
        InvalidRequestError: the model cannot do it, or a value is wrong; `param` names it.
    """
    loras: object = given.pop("loras", ())
    scheduler: object = given.pop("scheduler", "")
    if loras and "lora" not in abilities:
        raise InvalidRequestError(f"{model} takes no loras here.", param="loras", code="unsupported")
    if scheduler and scheduler not in schedulers:
        choice = f"it may be {', '.join(schedulers)}" if schedulers else "the model has its own only"
        raise InvalidRequestError(
            f"scheduler {str(scheduler)[:40]!r} is not one that {model} takes; {choice}.", param="scheduler"
        )
    if not isinstance(loras, list | tuple):
        raise InvalidRequestError("loras must be a list, each with a name or a path.", param="loras")
    listed = cast(Sequence[object], loras)
    if len(listed) > MAX_LORAS:
        raise InvalidRequestError(
            f"loras may be at most {MAX_LORAS}; got {len(listed)}.", param="loras", code="array_above_max_length"
        )
    return {"loras": tuple(_lora(each, f"loras[{at}]") for at, each in enumerate(listed)), "scheduler": scheduler}


def _lora(wish: object, param: str) -> Lora:
    if isinstance(wish, Lora):
        return wish
    if not isinstance(wish, Mapping):
        raise InvalidRequestError(
            f'{param} must be an object, such as {{"name": "watercolour", "scale": 0.8}}.', param=param
        )
    told = cast(Mapping[str, object], wish)
    unknown = next((key for key in told if key not in ("name", "path", "scale")), None)
    if unknown is not None:
        raise InvalidRequestError(
            f"{param} takes name or path, and scale; not {str(unknown)[:40]!r}.", param=param, code="unknown_parameter"
        )
    named = [told[key] for key in ("name", "path") if told.get(key) is not None]
    if len(named) != 1:
        raise InvalidRequestError(f"{param} must have a name or a path, and not both.", param=param)
    scale = told.get("scale")
    scale = 1.0 if scale is None else scale
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not -MAX_SCALE <= scale <= MAX_SCALE:
        raise InvalidRequestError(f"{param}.scale must be a number from {-MAX_SCALE} to {MAX_SCALE}.", param=param)
    return Lora(name=_name(named[0], param), scale=float(scale))


def _name(value: object, param: str) -> str:
    """A name that cannot lead out of the folder it is looked for in."""
    text = value.removesuffix(".safetensors") if isinstance(value, str) else ""
    parts = text.split("/")
    if (
        not 0 < len(text) <= MAX_NAME
        or not text.isprintable()
        or any(part in ("", ".", "..") for part in parts)
        or any(sign in text for sign in "\\:")
    ):
        raise InvalidRequestError(
            f"{param} must name a .safetensors file inside the server's folder of LoRAs, relative to it.", param=param
        )
    return text
