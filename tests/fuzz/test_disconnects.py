"""200 clients that leave at random moments: the engine is idle within one step each time, and nothing is left."""

import asyncio
import json
import os
import random
import socket
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.store import FileStore
from limner.types import Event, ImageRequest
from tests.conftest import Served, until
from tests.fakes import GradientEngine
from tests.sending import EDITS, GENERATIONS, VARIATIONS, coloured, data_url, form

COUNT = 200
# Seconds that the engine takes a step, and steps that no client waits for the end of.
STEP, STEPS = 0.02, 50
# When the client leaves: with half the headers sent, half the body, all of it, at a step, or after an event.
MOMENTS = ("headers", "body", "asked", "step", "step", "step", "event", "queued")


def request(chance: random.Random, path: str, stream: bool) -> bytes:
    """A whole HTTP request of one of the kinds that draw."""
    wish: dict[str, Any] = {"prompt": "a", "steps": STEPS, "size": "64x64", "seed": chance.randrange(1000)}
    wish |= {"stream": True, "partial_images": 3} if stream else {}
    wish |= {"response_format": "url"} if chance.random() < 0.3 else {}
    if path == GENERATIONS or (path == EDITS and chance.random() < 0.4):
        wish |= {} if path == GENERATIONS else {"images": [{"image_url": data_url(coloured())}]}
        body, kind = json.dumps(wish).encode(), "application/json"
    else:
        fields = [(name, str(value).lower()) for name, value in wish.items()]
        sent = form([*fields, ("image", coloured())])
        body, kind = sent["content"], sent["headers"]["content-type"]
    lines = (f"POST {path} HTTP/1.1", "host: localhost", f"content-type: {kind}", f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


def leave(connection: socket.socket, chance: random.Random) -> None:
    """With a reset or without."""
    if chance.random() < 0.5:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def come_and_go(served: Served, chance: random.Random, path: str, moment: str) -> None:
    stream = moment == "event" or chance.random() < 0.5
    whole = request(chance, path, stream)
    head = whole.index(b"\r\n\r\n") + 4
    ends = {"headers": chance.randrange(1, head), "body": chance.randrange(head, len(whole))}
    begun = served.engine.stepped
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(whole[: ends.get(moment, len(whole))])
        if moment == "event":
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        if moment in ("step", "queued"):
            steps = chance.randrange(1, 6)
            until(lambda: served.engine.stepped >= begun + steps)
        if moment == "queued":
            with socket.create_connection(("127.0.0.1", served.port), timeout=30) as behind:
                behind.sendall(request(chance, GENERATIONS, chance.random() < 0.5))
                until(lambda: served.process.life.in_flight == 2)
                leave(behind, chance)
                # The one that waited goes, the one that is drawn goes on.
                until(lambda: served.process.life.in_flight == 1)
        leave(connection, chance)
    seen = served.engine.stepped
    # An answer on another connection: what came before it has been read.
    assert httpx2.get(served.url + "/health").status_code == 200
    until(lambda: served.process.life.in_flight == 0)
    assert served.engine.stepped <= seen + 1, (path, moment)


def open_files() -> set[str]:
    """What this process has open, where that can be seen; the test's own connections are closed."""
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue
    return found


def test_whoever_leaves_leaves_nothing(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    plain = GradientEngine.generate

    def generate(self: GradientEngine, request: ImageRequest) -> AsyncGenerator[Event, None]:
        loops.append(asyncio.get_running_loop())
        return plain(self, request)

    monkeypatch.setattr(GradientEngine, "generate", generate)
    served = serve(seconds=STEP, store=FileStore(tmp_path / "pictures"))
    chance = random.Random(7)
    # Every thread, process and kind of work has been there once before it is counted.
    for path in (GENERATIONS, EDITS):
        come_and_go(served, chance, path, "queued")
    httpx2.post(served.url + GENERATIONS, json={"prompt": "a", "steps": 1, "response_format": "url"}).raise_for_status()
    until(lambda: len(asyncio.all_tasks(loops[0])) <= 4)
    tasks, files, threads = len(asyncio.all_tasks(loops[0])), open_files(), threading.active_count()
    for number in range(COUNT):
        path = chance.choice([GENERATIONS, EDITS, VARIATIONS])
        come_and_go(served, chance, path, MOMENTS[number % len(MOMENTS)])
    until(lambda: len(asyncio.all_tasks(loops[0])) <= tasks)
    until(lambda: len(open_files()) <= len(files))
    # The pool of threads that file work runs in may have grown to its bound, never by one for each client.
    assert threading.active_count() <= threads + 40
    assert [path.name for path in (tmp_path / "pictures").iterdir() if path.name.endswith(".part")] == []
    answer = httpx2.post(served.url + GENERATIONS, json={"prompt": "a", "steps": 1, "size": "64x64"})
    assert answer.status_code == 200
