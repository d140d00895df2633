"""Limits before reading, over real sockets: each probe is one that uvicorn alone lets through for ever."""

import json
import socket
import time
from collections.abc import Callable

import httpx2
import pytest
import requests

from tests.conftest import Served

PATH = "/v1/images/generations"
# Seconds that the guard gives in these tests, and within which it must have acted.
LIMIT, SOON = 0.4, 10.0


@pytest.fixture
def guarded(serve: Callable[..., Served]) -> Served:
    return serve(header_timeout=LIMIT, body_timeout=LIMIT)


def exchange(served: Served, *chunks: bytes, pause: float = 0.0) -> bytes:
    """Send chunks, then read until the server closes the connection, which it must do soon."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=SOON) as connection:
        got = b""
        try:
            for chunk in chunks:
                connection.sendall(chunk)
                time.sleep(pause)
            while data := connection.recv(65536):
                got += data
        except (ConnectionResetError, BrokenPipeError):
            pass
        return got


def told(answer: bytes, status: int) -> dict[str, str]:
    """The error object of a raw answer, after checking what holds for all of them."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert b"x-request-id: req_" in head
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def post(body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    told_length = b"content-length: %d" % (len(body) if length is None else length)
    lines = (
        b"POST " + PATH.encode() + b" HTTP/1.1",
        b"host: localhost",
        b"content-type: application/json",
        told_length,
    )
    return b"\r\n".join((*lines, *headers, b"", b"")) + body


def test_a_silent_connection_is_closed(guarded: Served) -> None:
    assert exchange(guarded) == b""


def test_half_a_header_is_not_waited_for(guarded: Served) -> None:
    assert told(exchange(guarded, b"GET /health HTTP/1.1\r\nhost: local"), 408)["code"] == "request_timeout"


def test_dribbled_headers_are_not_waited_for(guarded: Served) -> None:
    lines = [b"GET /health HTTP/1.1\r\n", *(b"x-%d: y\r\n" % index for index in range(20))]
    answer = exchange(guarded, *lines, b"\r\n", pause=LIMIT / 4)
    # A reset may eat the answer, because the client is still sending; what counts is that nothing was served.
    assert answer == b"" or told(answer, 408)


def test_empty_lines_do_not_keep_a_connection(guarded: Served) -> None:
    exchange(guarded, *[b"\r\n"] * 12, pause=LIMIT / 4)


def test_the_second_request_of_a_connection_is_watched_too(guarded: Served) -> None:
    answer = exchange(guarded, b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", b"GET /hea", pause=LIMIT / 4)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 408" in answer


def test_a_running_request_is_not_cut_off_by_the_next_one(serve: Callable[..., Served]) -> None:
    served = serve(seconds=LIMIT, header_timeout=LIMIT)
    body = json.dumps({"prompt": "a", "steps": 4}).encode()
    answer = exchange(served, post(body), b"GET /hea")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"b64_json" in answer


@pytest.mark.parametrize(
    "flood",
    [
        b"x-long: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"x-long: " + b"y" * 40_000 + b"\r\n\r\n",
        b"x: y\r\n" * 20_000 + b"\r\n",
        b"x: y\r\n" * 100 + b"\r\n",
        b"x-endless: " + b"y" * 3_000_000,
    ],
    ids=["1 MB header", "40 KB header", "20,000 lines", "101 lines", "no end"],
)
def test_header_floods_are_refused(guarded: Served, flood: bytes) -> None:
    answer = exchange(guarded, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + flood)
    # The answer may be lost to a reset while the flood is still being sent; what counts is that nothing was served.
    assert b"HTTP/1.1 200" not in answer
    if answer:
        assert told(answer, 431)["code"] == "request_too_large"


def test_a_long_address_is_refused(guarded: Served) -> None:
    told(exchange(guarded, b"GET /health?" + b"x" * 33_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n"), 431)


def test_headers_under_the_limits_pass(server: str) -> None:
    headers = {f"x-{index}": "y" * 300 for index in range(90)}
    assert requests.get(server + "/health", headers=headers, timeout=SOON).status_code == 200


@pytest.mark.parametrize("length", [1000, 900_000])
def test_a_stalled_body_is_not_waited_for(guarded: Served, length: int) -> None:
    answer = exchange(guarded, post(b'{"prompt": ', length=length))
    assert told(answer, 408)["code"] == "request_timeout"
    assert b"x-should-retry: false" in answer


def test_a_dripping_body_has_an_end_too(guarded: Served) -> None:
    told(exchange(guarded, post(b"", length=1000), *[b" "] * 12, pause=LIMIT / 2), 408)


def test_a_large_body_is_refused_before_it_is_read(guarded: Served) -> None:
    assert told(exchange(guarded, post(b"", length=10**12)), 413)["code"] == "request_too_large"
    assert guarded.engine.stepped == 0


def test_a_client_that_sends_it_all_the_same_sees_why(guarded: Served) -> None:
    # Closing at once would reset the connection under it, and most clients would only report that.
    answer = exchange(guarded, post(b" " * 20_000_000))
    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("size", [33_000, 60_000, 200_000, 900_000])
def test_a_large_request_in_one_piece_is_not_taken_for_headers(serve: Callable[..., Served], size: int) -> None:
    body = json.dumps({"prompt": "a", "note": "x" * size}).encode()
    answer = exchange(serve(), post(body, b"connection: close"))
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_connection_whose_body_came_after_the_answer_is_closed_too(guarded: Served) -> None:
    late = exchange(guarded, b"POST /nope HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n", b"late", pause=0.2)
    assert late.startswith(b"HTTP/1.1 404")
    assert late.count(b"HTTP/1.1") == 1


def test_a_chunked_body_is_counted(guarded: Served) -> None:
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    head = post(b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    told(exchange(guarded, head + chunk * 17), 413)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health HTTP/1.1\r\nconnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: evil.com\r\nconnection: close\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        post(b"{}", b"content-length: 3"),
        post(b"{}", b"transfer-encoding: chunked"),
        b"POST /v1/images/generations HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
    ],
    ids=[
        "no host",
        "foreign host",
        "two hosts",
        "TLS",
        "nonsense",
        "two lengths",
        "length and chunks",
        "negative length",
    ],
)
def test_requests_that_no_honest_client_sends(guarded: Served, request_bytes: bytes) -> None:
    assert told(exchange(guarded, request_bytes), 400)["type"] == "invalid_request_error"


def test_an_upgrade_is_answered_as_plain_http(guarded: Served) -> None:
    headers = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "eA==",
    }
    assert httpx2.get(guarded.url + "/health", headers=headers).status_code == 200


def test_without_the_guard_the_probe_would_hang(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """The probes see the guard and not some other limit: with a long one, the same silence stays open."""
    served = serve(header_timeout=60)
    with socket.create_connection(("127.0.0.1", served.port), timeout=3 * LIMIT) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: local")
        with pytest.raises(TimeoutError):
            connection.recv(1)
