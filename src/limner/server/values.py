"""One value of a body, as JSON or a form gives it, to the type that its field has."""

import json
import math
import re
from typing import Any, cast

from limner.errors import InvalidRequestError
from limner.spelling import check_unicode

NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?")
JSON_NAMES = {"bool": "a boolean", "int": "an integer", "float": "a number", "str": "a string", "list": "an array"}
# Whole numbers beyond this are refused here, because no field takes them and printing them can be slow.
HUGE = 2**63


def wrong_type(key: str, wanted: str, value: Any) -> InvalidRequestError:
    """The error for a `value` that is not what `wanted` names, such as "a string"."""
    got = JSON_NAMES.get(type(value).__name__, "an object")
    return InvalidRequestError(
        f"Invalid type for {key!r}: expected {wanted}, but got {got} instead.", param=key, code="invalid_type"
    )


def _string(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise wrong_type(key, "a string", value)
    check_unicode(value, key)
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(key, "a number", value)
    # Compared before it is converted: float() fails on a whole number of 400 digits.
    if not -HUGE < value < HUGE:
        raise _huge(key, value > 0, "decimal")
    return float(value)


def _integer(key: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,20}", value.strip(), re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(key, "an integer", value)
    if isinstance(value, float) and math.isfinite(value) and not value.is_integer():
        raise wrong_type(key, "an integer", value)
    if not -HUGE < value < HUGE:
        raise _huge(key, value > 0, "integer")
    return int(value)


def _seed(key: str, value: Any) -> int:
    """A seed, or the first of a list of them: picture number `index` has the seed that is `index` higher."""
    if not isinstance(value, list):
        return _integer(key, value)
    seeds = [_integer(key, seed) for seed in cast("list[Any]", value)]
    if not seeds or seeds != list(range(seeds[0], seeds[0] + len(seeds))):
        raise InvalidRequestError(
            f"{key} must be one seed, or seeds that follow on each other such as [7, 8, 9].", param=key
        )
    return seeds[0]


def _boolean(key: str, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if not isinstance(value, bool):
        raise wrong_type(key, "a boolean", value)
    return value


def _array(key: str, value: Any) -> list[Any]:
    # A form has text only.
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong_type(key, "an array, in a form as JSON", value) from None
    if not isinstance(value, list):
        raise wrong_type(key, "an array", value)
    found = cast(list[Any], value)
    for text in (each for entry in found if isinstance(entry, dict) for each in cast(dict[str, Any], entry).values()):
        if isinstance(text, str):
            check_unicode(text, key)
    return found


def _huge(key: str, above: bool, kind: str) -> InvalidRequestError:
    told = "above_max_value" if above else "below_min_value"
    return InvalidRequestError(f"{key} is far out of range.", param=key, code=f"{kind}_{told}")


# By a field's kind.
CONVERT = {
    "string": _string,
    "number": _number,
    "integer": _integer,
    "seed": _seed,
    "boolean": _boolean,
    "array": _array,
}
