"""The Python client against real servers: ours, and one that answers what a test tells it to."""

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import limner
from limner import AsyncClient, Client, errors
from limner.types import Size
from tests.conftest import Served


@dataclass
class Scripted:
    """A server that gives its answers in turn, the last for ever: (status, headers, body)."""

    answers: list[tuple[int, dict[str, str], bytes]]
    url: str = ""
    # Headers of the requests that came, and their bodies.
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Scripted]:
    script = Scripted(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            script.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers, answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
            self.send_response(status)
            for name, value in {"content-length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


MODELS = (200, {}, b'{"data": [{"id": "flux"}]}')
FULL = json.dumps(errors.QueueFullError("Full.").body()).encode()


def test_a_picture_has_its_facts(server: str, tmp_path: Path) -> None:
    with Client(server) as client:
        (picture,) = client.generate("a cat", size="128x96", seed=7, model="flux")
    assert (picture.seed, picture.model, picture.size, picture.format) == (
        7,
        "limner-mini",
        Size(width=128, height=96),
        "png",
    )
    assert picture.pil().size == (128, 96)
    assert picture.save(tmp_path / "cat.png").read_bytes() == picture.bytes


async def test_both_clients_get_the_same_bytes(server: str) -> None:
    wishes: Any = {"n": 2, "seed": 3, "output_format": "webp", "num_inference_steps": 2, "negative_prompt": "a dog"}
    async with AsyncClient(server) as client:
        later = await client.generate("a cat", **wishes)
        names = [model["id"] for model in await client.models()]
        assert await client.answers()
    with Client(server) as blocking:
        assert [p.bytes for p in blocking.generate("a cat", **wishes)] == [p.bytes for p in later]
        assert [model["id"] for model in blocking.models()] == names
        assert blocking.answers()
    assert [picture.seed for picture in later] == [3, 4]


def test_both_clients_offer_the_same() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            other = getattr(AsyncClient, name)
            assert inspect.iscoroutinefunction(other), name
            assert inspect.signature(method) == inspect.signature(other), name


def test_a_suffix_that_lies_is_refused(server: str, tmp_path: Path) -> None:
    with Client(server) as client:
        (picture,) = client.generate("a cat", output_format="jpeg")
    with pytest.raises(errors.InvalidRequestError, match=r'cat\.jpeg.*output_format="png"'):
        picture.save(tmp_path / "cat.png")
    assert not list(tmp_path.glob("cat*"))
    for honest in ("cat.jpg", "cat.JPEG", "cat"):
        picture.save(tmp_path / honest)


@pytest.mark.parametrize(
    ("wishes", "kind", "param"),
    [
        ({"prompt": " "}, errors.InvalidRequestError, "prompt"),
        ({"prompt": "\ud800"}, errors.InvalidRequestError, "prompt"),
        ({"size": "1x1"}, errors.InvalidRequestError, "size"),
        ({"model": "fluxx"}, errors.ModelNotFoundError, "model"),
    ],
)
def test_the_servers_errors_are_raised(server: str, wishes: dict[str, Any], kind: type, param: str) -> None:
    with Client(server) as client, pytest.raises(errors.LimnerError) as caught:
        client.generate(**{"prompt": "a cat", **wishes})
    assert type(caught.value) is kind
    assert caught.value.param == param
    assert caught.value.request_id


def test_a_number_that_json_cannot_say_is_refused_by_name(server: str) -> None:
    with Client(server) as client, pytest.raises(errors.InvalidRequestError) as caught:
        client.generate("a cat", guidance_scale=float("nan"))
    assert caught.value.param == "guidance_scale"


def test_an_unknown_argument_is_a_type_error(server: str) -> None:
    with Client(server) as client, pytest.raises(TypeError, match="'sede'"):
        client.generate("a cat", sede=7)  # pyright: ignore[reportCallIssue]


def test_a_key_is_sent(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(api_key="right").url
    with Client(url) as client, pytest.raises(errors.AuthenticationError):
        client.models()
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    monkeypatch.setenv("LIMNER_API_KEY", "right")
    with Client(url) as client:
        assert client.models()
    with Client(url, api_key="wrong") as client, pytest.raises(errors.AuthenticationError):
        client.models()


def test_another_services_key_goes_to_no_address_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "dear")
    with scripted(MODELS) as named:
        monkeypatch.setattr("limner.exchange.DEFAULT_BASE_URL", named.url)
        with Client() as client:
            client.models()
        with Client(named.url) as client:
            client.models()
    assert [headers.get("authorization") for headers, _ in named.seen] == [None, "Bearer dear"]


def test_the_base_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().base_url == "http://localhost:1337/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://openai.example/v1")
    assert Client().base_url == "https://openai.example/v1"
    monkeypatch.setenv("LIMNER_BASE_URL", "http://limner.example")
    assert Client().base_url == "http://limner.example/v1"
    assert Client("http://given.example/").base_url == "http://given.example/v1"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://h:1", "http://h:1/v1"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("https://h/behind/a/proxy", "https://h/behind/a/proxy/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
    ],
)
def test_a_base_url_may_leave_out_the_version(given: str, taken: str) -> None:
    assert Client(given).base_url == taken


@pytest.mark.parametrize("wrong", ["localhost:1337", "ftp://h", "http://", "http://h:99999", "http://h/v1?x=1"])
def test_a_base_url_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match="http://localhost:1337/v1"):
        Client(wrong)


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_told_and_asks_again(status: int) -> None:
    with (
        scripted((status, {"retry-after-ms": "20"}, FULL), (status, {"retry-after": "0"}, FULL), MODELS) as server,
        Client(server.url) as client,
    ):
        assert client.models() == [{"id": "flux"}]
    assert len(server.seen) == 3


async def test_it_gives_up_after_two_retries() -> None:
    with scripted((429, {"retry-after": "0.01"}, FULL)) as server:
        async with AsyncClient(server.url) as client:
            with pytest.raises(errors.QueueFullError) as caught:
                await client.generate("a cat")
    assert len(server.seen) == 3
    assert caught.value.retry_after == 0.01


@pytest.mark.parametrize("headers", [{"retry-after": "121"}, {"retry-after": "0", "x-should-retry": "false"}])
def test_it_does_not_ask_again_when_that_is_no_use(headers: dict[str, str]) -> None:
    with scripted((429, headers, FULL)) as server, Client(server.url) as client, pytest.raises(errors.QueueFullError):
        client.models()
    assert len(server.seen) == 1


def test_other_failures_are_not_tried_again() -> None:
    with (
        scripted((500, {}, b"oops")) as server,
        Client(server.url) as client,
        pytest.raises(errors.ServerError, match="500"),
    ):
        client.generate("a cat")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"data": []}', b'{"data": [{}]}', b'{"data": [{"b64_json": "AAAA"}]}']
)
def test_an_answer_that_holds_no_picture_is_told_so(body: bytes) -> None:
    with scripted((200, {}, body)) as server, Client(server.url) as client, pytest.raises(errors.ServerError):
        client.generate("a cat")


def test_nobody_there_is_told_with_the_url_and_the_way_out() -> None:
    with Client("http://me:secret@127.0.0.1:9") as client:
        assert not client.answers()
        with pytest.raises(errors.ConnectionFailedError, match=r"http://127\.0\.0\.1:9/v1.*limner serve") as caught:
            client.generate("a cat")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_too_slow_is_told_so(serve: Callable[..., Served]) -> None:
    with (
        Client(serve(seconds=0.2).url, timeout=0.1) as client,
        pytest.raises(errors.ConnectionFailedError, match=r"within 0\.1 s"),
    ):
        client.generate("a cat")


async def test_cancelling_stops_the_work(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.05)
    async with AsyncClient(served.url) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.generate("a cat", num_inference_steps=50)
        # Its place is free at once.
        await client.generate("a cat", num_inference_steps=1)
    assert served.engine.stepped < 40


def test_proxies_of_the_environment_are_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted((502, {}, b"proxy")) as proxy, scripted(MODELS) as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        with Client(server.url) as client:
            assert client.models()
        with Client(server.url.replace("127.0.0.1", "localhost")) as client:
            assert client.models()
        assert not proxy.seen
        with Client("http://limner.example") as client, pytest.raises(errors.ServerError):
            client.models()
        assert proxy.seen


def test_importing_the_client_imports_no_server_and_no_model() -> None:
    heavy = ("fastapi", "pydantic", "numpy", "onnxruntime", "PIL", "httpx2", "typer", "rich")
    code = (
        f"from limner import AsyncClient, Client, Picture; import sys; print([m for m in {heavy} if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
    assert limner.Client is Client
