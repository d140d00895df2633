"""Limner: a self-hosted image generation server that speaks the images API which programs already speak."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Client", "LimnerError", "Picture", "__version__"]

if TYPE_CHECKING:
    from limner.client import AsyncClient, Client, Picture
    from limner.errors import LimnerError

_HOMES = {"AsyncClient": "client", "Client": "client", "Picture": "client", "LimnerError": "errors"}


def __getattr__(name: str) -> Any:
    # Late, so that `import limner` costs nothing until something of it is used.
    if name not in _HOMES:
        raise AttributeError(f"module 'limner' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"limner.{_HOMES[name]}"), name)
