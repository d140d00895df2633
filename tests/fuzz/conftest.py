"""The real application in a loop of its own, for tests that send it thousands of requests."""

import asyncio
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from limner.server import create_app
from limner.settings import Settings
from limner.store import MemoryStore
from limner.studio import Studio
from limner.types import ModelCard, Size
from tests.fakes import CARD, GradientEngine
from tests.sending import GENERATIONS

JSON = {"content-type": "application/json"}
KEYS = {"message", "type", "param", "code"}


class SmallEngine(GradientEngine):
    """So that the requests that happen to be right cost nothing."""

    def cards(self) -> Sequence[ModelCard]:
        return [dataclasses.replace(CARD, native=Size(width=64, height=64), max_side=80, max_n=2, max_steps=4)]


@dataclass
class Application:
    """The real application in a loop of its own, called from synchronous tests."""

    loop: asyncio.AbstractEventLoop
    client: httpx2.AsyncClient
    app: Any

    def post(self, body: bytes, headers: dict[str, str] | None = None, path: str = GENERATIONS) -> httpx2.Response:
        return self.loop.run_until_complete(self.client.post(path, content=body, headers=headers or JSON))


@pytest.fixture
def application() -> Iterator[Application]:
    loop = asyncio.new_event_loop()
    exits = AsyncExitStack()
    app = create_app(Studio([SmallEngine()]), MemoryStore(), Settings.load())
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost:1337")
    loop.run_until_complete(exits.enter_async_context(app.router.lifespan_context(app)))
    yield Application(loop, client, app)
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(exits.aclose())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
