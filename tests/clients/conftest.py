"""Server processes for the clients of others: no model behind them, so that each can have its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import FAKE, Served, serving


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """`start(seconds=0.0, **variables)` starts a server whose engine takes `seconds` a step."""
    with ExitStack() as exits:

        def begin(*, seconds: float = 0.0, **variables: str) -> Served:
            home: Path = tmp_path_factory.mktemp("server")
            command = [*FAKE, "--pictures", str(home / "pictures"), "--seconds", str(seconds)]
            return exits.enter_context(serving(command, home, **variables))

        yield begin


@pytest.fixture(scope="module")
def server(start: Callable[..., Served]) -> Served:
    """A server without a key."""
    return start()
