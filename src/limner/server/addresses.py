"""The spellings under which clients call one route."""

from collections.abc import Callable
from typing import Any, TypeVar

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def spelled(add: Callable[..., Any], path: str, **described: Any) -> Callable[[_Handler], _Handler]:
    """Decorates a handler: `add` (a router's `get`, `post` ...) puts it at `path`, without /v1, and each with a slash.

    `described` is for the OpenAPI description, where only `path` stands.
    """
    short = path.removeprefix("/v1")

    def register(handler: _Handler) -> _Handler:
        add(path, **described)(handler)
        for other in dict.fromkeys((f"{path}/", short, f"{short}/")):
            if other != path:
                add(other, include_in_schema=False)(handler)
        return handler

    return register
