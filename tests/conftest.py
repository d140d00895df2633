"""Fixtures that several folders share: servers with a model-free engine behind them, and a clean environment."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.models.gallery import Gallery
from limner.server import create_app
from limner.server.run import Server
from limner.settings import Settings
from limner.store import ImageStore, MemoryStore
from limner.studio import Studio
from tests.fakes import GradientEngine


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or changes the settings, the pictures or the keys of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("LIMNER_", "OPENAI_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@dataclass(frozen=True)
class Served:
    """A real server on a real port, and what is behind it."""

    url: str
    engine: GradientEngine
    store: ImageStore
    process: Server

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for something that happens soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


async def soon(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait, on the event loop, for something that happens soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.001)


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """`serve(seconds=0.0, **settings)` starts a server whose engine takes `seconds` a step."""
    with ExitStack() as exits:

        def start(*, seconds: float = 0.0, store: ImageStore | None = None, **flags: Any) -> Served:
            engine, kept = GradientEngine(seconds), store or MemoryStore()
            settings = Settings.load(**{"port": 0, "shutdown_grace": 1, **flags})
            gallery = Gallery.configured(settings)
            app = create_app(Studio.configured([engine], settings, gallery), kept, settings, gallery)
            server = Server(app, settings)
            thread = threading.Thread(target=server.run, args=(server.listeners,))
            thread.start()

            def stop() -> None:
                server.handle_exit(15, None)
                thread.join(20)
                server.close_listeners()
                assert not thread.is_alive(), "the server did not stop"

            exits.callback(stop)
            until(lambda: server.started)
            return Served(server.url, engine, kept, server)

        yield start


@pytest.fixture
def server(serve: Callable[..., Served]) -> str:
    """The base URL of a running server with the default settings."""
    return serve().url


@dataclass(frozen=True)
class Called:
    """The application without a socket: a client that calls it, and what is behind it."""

    client: httpx2.AsyncClient
    engine: GradientEngine
    store: ImageStore


@pytest.fixture
async def call() -> AsyncIterator[Callable[..., Awaitable[Called]]]:
    """`await call(seconds=0.0, **settings)` opens an application in this process."""
    async with AsyncExitStack() as exits:

        async def open_app(*, seconds: float = 0.0, store: ImageStore | None = None, **flags: Any) -> Called:
            engine, kept = GradientEngine(seconds), store or MemoryStore()
            settings = Settings.load(**flags)
            app = create_app(Studio.configured([engine], settings), kept, settings)
            await exits.enter_async_context(app.router.lifespan_context(app))
            transport = httpx2.ASGITransport(app)
            client = httpx2.AsyncClient(transport=transport, base_url="http://localhost:1337")
            return Called(await exits.enter_async_context(client), engine, kept)

        yield open_app


@pytest.fixture
async def client(called: Called) -> httpx2.AsyncClient:
    """A client of an application with the default settings."""
    return called.client


@pytest.fixture
async def called(call: Callable[..., Awaitable[Called]]) -> Called:
    """An application with the default settings, and its parts."""
    return await call()
