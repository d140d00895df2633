"""A client that asks for much and reads nothing costs the server little, and not for ever."""

import contextlib
import json
import os
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, cast

import httpx2
import pytest

from limner.server.pieces import SLICE
from limner.types import Event, Image, ImageRequest
from tests.conftest import Served, until
from tests.fakes import GradientEngine

PATH = "/v1/images/generations"
SIZE = 30_000_000


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Pictures of 30 MB, as an engine may give them that encodes by itself."""
    data = b"\x89PNG" + os.urandom(SIZE - 4)

    async def generate(engine: GradientEngine, request: ImageRequest) -> AsyncGenerator[Event, None]:
        yield Image(data=data, mime="image/png", width=64, height=64, seed=request.seed, index=0)

    monkeypatch.setattr(GradientEngine, "generate", generate)
    return data


def asked(served: Served, accept: str, **body: Any) -> socket.socket:
    """A connection on which an answer is due, with little room for it on its way."""
    content = json.dumps({"prompt": "a cat", "response_format": "b64_json", **body}).encode()
    line = f"POST {PATH}"
    if accept == "url":
        made = httpx2.post(served.url + PATH, json={"prompt": "a cat", "response_format": "url"}).json()
        line, content = "GET /media/" + made["data"][0]["url"].rpartition("/")[2], b""
    lines = (
        f"{line} HTTP/1.1", "host: localhost", f"accept: {accept}", "content-type: application/json",
        f"content-length: {len(content)}", "connection: close", "", "",
    )  # fmt: skip
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", served.port))
    connection.sendall("\r\n".join(lines).encode() + content)
    return connection


def buffered(served: Served) -> int:
    """Bytes that the server holds for its clients, beyond those that the system has taken."""
    connections = cast("set[Any]", set(served.process.server_state.connections))
    return sum(each.transport.get_write_buffer_size() for each in connections)


@pytest.fixture(params=[("application/json", {}), ("image/png", {}), ("*/*", {"stream": True}), ("url", {})],
                ids=["json", "bare", "stream", "url"])  # fmt: skip
def kind(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return request.param


def read(connection: socket.socket) -> Iterator[int]:
    while data := connection.recv(1 << 20):
        yield len(data)


def test_no_more_is_held_than_a_slice(serve: Callable[..., Served], kind: tuple[str, dict[str, Any]]) -> None:
    served = serve()
    with asked(served, kind[0], **kind[1]) as connection:
        until(lambda: buffered(served) > 0)
        for _ in range(20):
            # As it reads a little, and waits.
            assert buffered(served) <= 2 * SLICE
            connection.recv(100_000)
        assert sum(read(connection)) > SIZE - 20 * 100_000


def test_who_reads_nothing_is_cut_off(serve: Callable[..., Served], kind: tuple[str, dict[str, Any]]) -> None:
    served = serve(answer_timeout=0.5)
    with asked(served, kind[0], **kind[1]) as connection:
        until(lambda: buffered(served) > 0)
        until(lambda: not served.process.server_state.connections)
        until(lambda: not served.process.life.in_flight)
        got = 0
        # The connection is reset, or what was on its way comes and then its end.
        with contextlib.suppress(ConnectionError):
            for size in read(connection):
                got += size
        assert got < SIZE


def test_who_reads_on_is_not(serve: Callable[..., Served], large: bytes) -> None:
    served = serve(answer_timeout=10)
    with asked(served, "image/png") as connection:
        got = bytearray()
        while data := connection.recv(1 << 20):
            got += data
    assert got.endswith(large)
