"""Names to engines, and names to models. Strings only: an engine is imported when it is first used.

An engine outside this package registers itself under the entry-point group `limner.engines`.
"""

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from limner.engine import Engine

ENGINES: Mapping[str, str] = MappingProxyType(
    {"mini": "limner.engines.mini:MiniEngine", "diffusers": "limner.engines.diffusers:DiffusersEngine"}
)

# The model that answers a request which names none.
DEFAULT_MODEL = "limner-mini"

# Names that clients have hard-coded -> the models that may answer, best first. The first that can be served does,
# and the answer says which that was.
ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    dict.fromkeys(
        (
            "flux",
            "dall-e-2",
            "dall-e-3",
            "gpt-image-1",
            "gpt-image-1-mini",
            "gpt-image-1.5",
            "gpt-image-2",
            "chatgpt-image-latest",
        ),
        ("limner-mini",),
    )
)


# Runs any of them in a process of its own.
WORKER = "limner.engines.worker:WorkerEngine"


def load_engine(name: str, **options: Any) -> Engine:
    """Import and make an engine by its registered name.

    Raises:
        KeyError: no engine of this name.
        ImportError: the engine needs a package that is not installed; nothing is swallowed.
    """
    engine: Engine = _found(_targets()[name])(**options)
    return engine


def load_apart(name: str, **options: Any) -> Engine:
    """The same engine in a child process: what breaks it leaves this process alone.

    `options` must be plain values, tuples or our own nouns. Raises KeyError and ImportError as `load_engine` does.
    """
    engine: Engine = _found(WORKER)(_targets()[name], options)
    return engine


def _targets() -> dict[str, str]:
    return {point.name: point.value for point in entry_points(group="limner.engines")} | dict(ENGINES)


def _found(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
