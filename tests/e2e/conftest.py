"""One `limner serve` for all tests that only ask it for pictures."""

from collections.abc import Iterator

import pytest

from tests.processes import LIMNER, Served, serving


@pytest.fixture(scope="session")
def limner_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The real server with the real model, on a free port."""
    with serving([LIMNER, "serve", "--port", "0"], tmp_path_factory.mktemp("serve")) as served:
        yield served
