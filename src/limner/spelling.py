"""Texts as people and programs write them: names that are nearly right, and text that is none."""

from collections.abc import Sequence

from limner.errors import InvalidRequestError


def check_unicode(text: str, param: str) -> None:
    """Refuse a lone surrogate: it is valid JSON and no valid text, and would break every later writer.

    Raises:
        InvalidRequestError: there is one; `param` names the field.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequestError(f"{param} must be valid Unicode; it holds a lone surrogate.", param=param)


def nearest(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The names most like `name`, best first, for messages that teach."""
    import difflib

    return difflib.get_close_matches(name, known, n=count, cutoff=0.5)
