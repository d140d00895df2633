"""A server whose engine's process is killed again and again: it answers all the same."""

import asyncio
import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from limner.engines.worker import WorkerEngine
from limner.server import create_app
from limner.server.run import Server
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from tests.conftest import until

ROOT = Path(__file__).parents[2]
JOBS = 200
AT_ONCE = 4


def code_of(answer: httpx2.Response) -> str:
    """ "" for a picture, else the code of the error that it is, as a whole or as the last event of a stream."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        whole = "image_generation.completed" in answer.text
        return "" if whole else answer.text.partition('"code":"')[2].partition('"')[0]
    told = answer.json()
    assert (answer.status_code == 200) is ("error" not in told)
    return told["error"]["code"] if "error" in told else ""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, WorkerEngine]]:
    """A server in this process, its engine in another: 4 ms a step."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    engine = WorkerEngine("tests.fakes:GradientEngine", {"seconds": 0.004})
    settings = Settings.load(port=0, shutdown_grace=1)
    server = Server(create_app(Studio([engine]), MemoryStore(), settings), settings)
    with ExitStack() as exits:
        thread = threading.Thread(target=server.run, args=(server.listeners,))
        thread.start()
        exits.callback(thread.join, 30)
        exits.callback(server.handle_exit, 15, None)
        until(lambda: server.started, 60)
        yield server.url, engine


async def test_each_of_two_hundred_jobs_ends_in_a_picture_or_a_typed_error(
    served: tuple[str, WorkerEngine],
) -> None:
    url, engine = served
    chance = random.Random(6)
    seen: set[int] = set()
    ended: list[tuple[int, str]] = []
    finished = asyncio.Event()

    async def kill() -> None:
        while not finished.is_set():
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            if pid := engine.pid:
                seen.add(pid)
                os.kill(pid, signal.SIGKILL)

    async def look(client: httpx2.AsyncClient) -> None:
        while not finished.is_set():
            assert (await client.get("/health")).status_code == 200
            await asyncio.sleep(0.05)

    async def draw(client: httpx2.AsyncClient, numbers: Iterator[int]) -> None:
        for number in numbers:
            body = {"prompt": "a cat", "size": "64x64", "seed": number, "n": 1 + number % 3, "stream": number % 5 == 0}
            ended.append((number, code_of(await client.post("/v1/images/generations", json=body))))

    async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
        around = [asyncio.create_task(kill()), asyncio.create_task(look(client))]
        numbers = iter(range(JOBS))
        await asyncio.gather(*(draw(client, numbers) for _ in range(AT_ONCE)))
        finished.set()
        await asyncio.gather(*around)
        # And then it draws as ever.
        assert code_of(await client.post("/v1/images/generations", json={"prompt": "a cat", "size": "64x64"})) == ""
        assert engine.pid
        seen.add(engine.pid)
    assert sorted(number for number, _ in ended) == list(range(JOBS))
    codes = {code: sum(1 for _, each in ended if each == code) for _, code in ended}
    print(f"{len(seen)} children; {codes}")
    assert set(codes) <= {"", "engine_died"}
    assert codes[""] > JOBS / 4
    assert len(seen) > 5


def test_no_child_is_left(served: tuple[str, WorkerEngine]) -> None:
    """After the server has stopped; the fixture of the test above stops it in the same way."""
    url, engine = served
    pid = engine.pid
    assert pid
    assert httpx2.post(f"{url}/v1/images/generations", json={"prompt": "a cat", "size": "64x64"}).status_code == 200
    assert children() == [pid]


@pytest.fixture(autouse=True)
def nobody_is_left() -> Iterator[None]:
    yield
    assert children() == []


def children() -> list[int]:
    """Processes that this one has started and that still run a worker."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = status.read_bytes()
            parent = (status.parent / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue
        if b"limner.engines.worker_child" in command and int(parent) == os.getpid():
            found.append(int(status.parent.name))
    return found
