"""A pull over HTTP that ends before it is done: the caller hangs up, or the server is stopped. It goes on later."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests import hub as hubs
from tests.e2e.test_pull import GOOD, LARGE, NAME, WEIGHTS
from tests.processes import LIMNER, Served, limner, serving

KEY = {"authorization": "Bearer admin"}


@pytest.fixture
def hub() -> Iterator[hubs.Hub]:
    with hubs.running() as hub:
        hub.add(hubs.Repository(NAME, dict(GOOD)))
        # The weights take three seconds.
        hub.pace[LARGE] = 0.1
        yield hub


@pytest.fixture
def extra(hub: hubs.Hub, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "", "LIMNER_ADMIN_KEY": "admin"}


@pytest.fixture
def served(tmp_path: Path, extra: dict[str, str]) -> Iterator[Served]:
    with serving([LIMNER, "serve", "--port", "0"], tmp_path, **extra) as served:
        yield served


def part(home: Path) -> int:
    """Bytes of the weights that are here, while they are not whole."""
    return max((path.stat().st_size for path in (home / "hf").rglob("*.incomplete")), default=0)


def wait_for_the_weights(home: Path) -> None:
    end = time.monotonic() + 60
    while part(home) < 200_000:
        assert time.monotonic() < end, "the pull does not begin"
        time.sleep(0.02)


def pulled(served: Served) -> list[str]:
    answer = httpx2.get(f"{served.url}/admin/models", headers=KEY, timeout=10)
    return [model["name"] for model in answer.json()["models"]]


def pull(served: Served) -> httpx2.Response:
    return httpx2.post(f"{served.url}/admin/models/pull", json={"model": NAME}, headers=KEY, timeout=60)


def test_the_caller_hangs_up(served: Served, hub: hubs.Hub, tmp_path: Path) -> None:
    url = f"{served.url}/admin/models/pull"
    with httpx2.stream("POST", url, json={"model": NAME}, headers=KEY, timeout=60) as answer:
        # Held, for an iterator that is thrown away closes the connection.
        lines = answer.iter_lines()
        assert json.loads(next(lines))["status"] == "pulling"
        wait_for_the_weights(tmp_path)
    # It stops: nothing more comes, and nothing is pulled.
    time.sleep(1)
    stopped = part(tmp_path)
    time.sleep(0.5)
    assert 0 < part(tmp_path) == stopped < len(WEIGHTS)
    assert pulled(served) == []
    # The server goes on from there for the next who asks.
    hub.pace.clear()
    assert json.loads(pull(served).text.splitlines()[-1])["status"] == "success"
    assert hub.fetched(LARGE) == ["", f"bytes={stopped}-"]
    assert pulled(served) == [NAME]


def test_the_server_is_stopped(served: Served, hub: hubs.Hub, extra: dict[str, str], tmp_path: Path) -> None:
    url = f"{served.url}/admin/models/pull"
    with httpx2.stream("POST", url, json={"model": NAME}, headers=KEY, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        wait_for_the_weights(tmp_path)
        assert served.stop() == 0
    stopped = part(tmp_path)
    hub.pace.clear()
    again = limner("pull", NAME, cwd=tmp_path, **extra)
    assert again.returncode == 0, again.stderr
    # What had come is kept: all of it, or a part to go on from.
    assert hub.fetched(LARGE)[1:] == ([f"bytes={stopped}-"] if stopped else [])
