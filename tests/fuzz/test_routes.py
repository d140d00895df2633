"""Malformed requests over all routes, in JSON, in forms and in neither: with test_bodies, five thousand and more."""

import json
import random
import socket
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from limner.server.fields import EDIT_FIELDS
from tests.conftest import Served
from tests.fuzz.conftest import JSON, KEYS, Application
from tests.sending import EDITS, GENERATIONS, VARIATIONS, coloured, data_url, form

COUNT = 1200
PICTURE = coloured(size=(16, 12))
NAMES = [name for field in EDIT_FIELDS for name in (field.name, *field.aliases)]
NAMES += ["image", "image[]", "images", "mask", "file", "purpose", "url", "url[]", "image_url", "image[0]", "\0", "é",
          ""]  # fmt: skip
TEXTS = ["", "a cat", "64x64", "1e400", "-1", "٣", "NaN", "\x00", "url", "flux", "true", "9" * 30, "²x²", "[1,2]", "{",
         "https://127.0.0.1/a.png", "data:image/png;base64,AAAA", "data:,", "file-1", "vision", "\ud800", "x" * 5000,
         "transparent", "jpeg", "1:1", "0:0"]  # fmt: skip
BASES = ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/images/x", "/v1/images/",
         "/v1/models", "/v1/models/x", "/v1/files", "/v1/files/x", "/v1/files/x/content", "/media/x.png", "/media/",
         "/health", "/ready", "/docs", "/docs/x", "/openapi.json", "/", "/openai/deployments/x/images/generations",
         "/v1", "/nope", "/openai/deployments/flux/images/edits", "/v1/chat/completions"]  # fmt: skip
PIECES = ["", "/", "//", "%00", "%2e%2e/", "..%2f", "%ff", "é", "?a=%", "?api-version=\x7f", ";", "%", " ", "'", "\\",
          "[]", "a" * 500]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO"]
HEADERS = ["accept", "range", "if-none-match", "idempotency-key", "x-stainless-retry-count", "x-request-id", "origin",
           "authorization", "api-key", "content-encoding", "x-forwarded-host", "accept-encoding", "cookie"]  # fmt: skip
VALUES = ["", "x", "image/png", "image/png;q=x, */*;q=1e9", "bytes=0-", "bytes=-1", "bytes=9999-1,2-3", '"', "W/", "*",
          "é", "gzip", "Bearer", "Bearer x", "1", "-1", "9" * 400, "a\tb", "null", "https://example.org",
          "text/event-stream"]  # fmt: skip


def fine(answer: httpx2.Response, told: object) -> None:
    """No 5xx; an error is the error object."""
    assert answer.status_code < 500, (told, answer.text)
    assert answer.headers["x-request-id"], told
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        error = json.loads(answer.content)
        assert set(error) == {"error"}, told
        assert set(error["error"]) == KEYS, told


def value(chance: random.Random, depth: int = 0) -> Any:
    pick = chance.randrange(9 if depth < 3 else 7)
    if pick < 3:
        return chance.choice(TEXTS)
    if pick < 7:
        numbers = [None, True, False, 0, 1, -1, 10**30, 2**63, 0.5, float("inf"), data_url(PICTURE)]
        return chance.choice(numbers)
    if pick == 7:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    keys = ["image_url", "file_id", "url", "detail", "", "\ud800"]
    return {chance.choice(keys): value(chance, depth + 1) for _ in range(chance.randrange(3))}


def damaged(chance: random.Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(3):
            case 0:
                del data[at : at + chance.randrange(1, 30)]
            case 1:
                data[at:at] = chance.choice([b"\0", b"\r\n", b"--B", b"--B--\r\n", b'"', b"\xff", b"name=", b": "])
            case _:
                data[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(data)


@pytest.mark.parametrize("path", [EDITS, VARIATIONS, "/v1/files"])
def test_forms(application: Application, path: str) -> None:
    chance = random.Random(path)
    for number in range(COUNT // 3):
        fields: list[tuple[str, bytes | str]] = []
        if chance.random() < 0.7:
            fields += [("prompt", "a"), ("image", PICTURE), ("size", "64x64"), ("purpose", "vision"), ("file", PICTURE)]
        for _ in range(chance.randrange(5)):
            text = chance.choice(TEXTS).encode(errors="replace").decode()
            fields.append((chance.choice(NAMES), chance.choice([text, PICTURE, PICTURE[:50], b"", b"x"])))
        chance.shuffle(fields)
        sent = form(fields)
        if number % 2:
            sent["content"] = damaged(chance, sent["content"])
        if chance.random() < 0.1:
            kinds = [
                "multipart/form-data",
                "multipart/form-data; boundary=",
                "multipart/mixed; boundary=B",
                "",
                "text/plain",
                "multipart/form-data; boundary=" + "B" * 90,
                'multipart/form-data; boundary="B',
                "application/json",
            ]
            sent["headers"]["content-type"] = chance.choice(kinds)
        fine(application.post(sent["content"], sent["headers"], path), sent)


@pytest.mark.parametrize("path", [EDITS, VARIATIONS, GENERATIONS])
def test_objects(application: Application, path: str) -> None:
    chance = random.Random(path)
    for number in range(COUNT // 3):
        body: dict[str, Any] = {}
        if chance.random() < 0.7:
            body = {"prompt": "a", "size": "64x64", "images": [{"image_url": data_url(PICTURE)}]}
        body |= {chance.choice(NAMES): value(chance) for _ in range(chance.randrange(5))}
        data = json.dumps(body).encode()
        if number % 3 == 2:
            data = damaged(chance, data)
        fine(application.post(data, JSON, path), data)


def raw(chance: random.Random) -> bytes:
    """A whole request, as no client library would send it."""
    path = chance.choice(BASES) + "".join(chance.choice(PIECES) for _ in range(chance.randrange(3)))
    lines = [f"{chance.choice(METHODS)} {path} HTTP/1.1"]
    # Mostly a host, for without one all are refused alike.
    lines += [f"host: {chance.choice(['localhost'] * 9 + ['', 'example.org', 'localhost:x', '[::1', 'a b'])}"]
    lines += [f"{chance.choice(HEADERS)}: {chance.choice(VALUES)}" for _ in range(chance.randrange(4))]
    kinds = ["application/json", "multipart/form-data; boundary=B", "multipart/form-data", "", "x/y"]
    lines += [f"content-type: {chance.choice(kinds)}", "connection: close"]
    body = chance.choice(["", "{}", '{"prompt": "a", "size": "64x64", "steps": 1}', "--B--\r\n", "\xff", '{"prompt":'])
    told = chance.choice([len(body)] * 6 + ["-1", "x", "9" * 30, "0x2", ""])
    lines += [f"content-length: {told}"] if chance.random() < 0.9 else ["transfer-encoding: chunked"]
    return "\r\n".join((*lines, "", body)).encode("latin-1", errors="replace")


def test_addresses_methods_and_headers(serve: Callable[..., Served]) -> None:
    """Over real sockets: what the parser of HTTP refuses is answered too."""
    served = serve(body_timeout=0.5, header_timeout=0.5)
    chance = random.Random(7)
    answered = 0
    for _ in range(COUNT):
        sent = raw(chance)
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while data := connection.recv(65_536):
                got += data
        if not got:
            # The client has said that it sends no more, and a body was to come.
            continue
        answered += 1
        head, _, body = got.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        assert status < 500, (sent, got)
        assert b"x-request-id" in head.lower(), (sent, got)
        if status >= 400 and not sent.startswith(b"HEAD"):
            error = json.loads(body)
            assert set(error) == {"error"}, (sent, got)
            assert set(error["error"]) == KEYS, (sent, got)
    assert answered > COUNT * 0.8
    assert httpx2.get(served.url + "/ready").status_code == 200
