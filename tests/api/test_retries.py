"""The same request again: joined to the work it began, told apart from a new wish, stopped when nobody waits."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.conftest import Called, Served, until

PATH = "/v1/images/generations"
RETRY = {"x-stainless-retry-count": "1"}
JOINED = "idempotent-replayed"


def key(value: str) -> dict[str, str]:
    return {"idempotency-key": value}


async def post(called: Called, headers: dict[str, str], path: str = PATH, **body: Any) -> httpx2.Response:
    return await called.client.post(path, json={"prompt": "a cat", **body}, headers=headers)


@pytest.fixture
async def called(call: Callable[..., Awaitable[Called]]) -> Called:
    return await call()


async def test_a_retry_gets_the_answer_that_was_made(called: Called) -> None:
    first = await post(called, {"x-stainless-retry-count": "0"})
    again = await post(called, RETRY)
    assert called.engine.stepped == 4
    assert again.content == first.content
    assert JOINED not in first.headers
    assert again.headers[JOINED] == "true"
    assert again.headers["x-limner-model"] == "limner-mini"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


@pytest.mark.parametrize("headers", [{}, {"x-stainless-retry-count": "0"}, {"x-stainless-retry-count": "one"}])
async def test_a_new_request_is_a_new_picture(called: Called, headers: dict[str, str]) -> None:
    first, second = await post(called, headers), await post(called, headers)
    assert called.engine.stepped == 8
    assert first.json()["data"][0]["seed"] != second.json()["data"][0]["seed"]
    assert JOINED not in second.headers


async def test_a_retry_of_nothing_is_a_new_request(called: Called) -> None:
    answer = await post(called, RETRY)
    assert answer.status_code == 200
    assert JOINED not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "path"),
    [
        ({"prompt": "a dog"}, {}, PATH),
        ({"n": 2}, {}, PATH),
        ({"seed": 7}, {}, PATH),
        ({"model": "flux"}, {}, PATH),
        ({"stream": True}, {}, PATH),
        ({"response_format": "url"}, {}, PATH),
        ({}, {"authorization": "Bearer another"}, PATH),
        ({}, {"host": "127.0.0.1:1337"}, PATH),
        ({}, {}, "/openai/deployments/flux/images/generations"),
    ],
)
async def test_a_retry_of_something_else_is_a_new_request(
    called: Called, body: dict[str, Any], headers: dict[str, str], path: str
) -> None:
    await post(called, {})
    answer = await post(called, RETRY | headers, path, **body)
    assert answer.status_code == 200
    assert JOINED not in answer.headers


async def test_the_same_wish_in_other_words_is_the_same(called: Called) -> None:
    first = await post(called, {}, num_inference_steps=3, seed=7)
    again = await called.client.post(
        "/images/generations", content=b'{"rng_seed": "7", "n": null, "steps": 3.0, "prompt": "a cat"}',
        headers=RETRY | {"content-type": "application/json"},
    )  # fmt: skip
    assert again.content == first.content


async def test_a_key_gives_its_answer_again(called: Called) -> None:
    first, again = await post(called, key("k-1")), await post(called, key("k-1"))
    assert again.content == first.content
    assert again.headers[JOINED] == "true"
    assert (await post(called, key("k-2"))).content != first.content
    assert called.engine.stepped == 8


async def test_a_key_for_another_request_is_refused(called: Called) -> None:
    await post(called, key("k"))
    answer = await post(called, key("k"), prompt="a dog")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"], error["type"]) == (
        "idempotency_key_reuse", "Idempotency-Key", "invalid_request_error",
    )  # fmt: skip
    assert called.engine.stepped == 4


async def test_a_key_belongs_to_its_caller(called: Called) -> None:
    await post(called, key("k") | {"authorization": "Bearer one"})
    answer = await post(called, key("k") | {"authorization": "Bearer two"}, prompt="a dog")
    assert answer.status_code == 200


@pytest.mark.parametrize("value", ["", "k" * 256])
async def test_a_key_has_a_length(called: Called, value: str) -> None:
    answer = await post(called, key(value))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "Idempotency-Key")


async def test_failures_are_not_kept(called: Called) -> None:
    for _ in range(2):
        answer = await post(called, key("k") | RETRY, prompt="explode")
        assert answer.status_code == 500
        assert JOINED not in answer.headers
    assert called.engine.stepped == 4


async def test_what_is_wrong_uses_no_key_up(called: Called) -> None:
    assert (await post(called, key("k"), n=11)).status_code == 400
    assert (await post(called, key("k"))).status_code == 200


async def test_a_stream_is_given_again_whole(called: Called) -> None:
    first = await post(called, key("k"), stream=True, partial_images=2)
    again = await post(called, key("k"), stream=True, partial_images=2)
    assert again.content == first.content
    assert first.text.count("event: ") == 3
    assert again.headers[JOINED] == "true"
    assert called.engine.stepped == 4


def in_background(url: str, headers: dict[str, str], **body: Any) -> tuple[threading.Thread, list[httpx2.Response]]:
    answers: list[httpx2.Response] = []
    wish = {"prompt": "a cat", **body}
    thread = threading.Thread(
        target=lambda: answers.append(httpx2.post(url + PATH, json=wish, headers=headers, timeout=60))
    )
    thread.start()
    return thread, answers


@contextlib.contextmanager
def asked(port: int, headers: dict[str, str], **body: Any) -> Iterator[None]:
    """A request on a connection that is closed at the end of the block."""
    content = json.dumps({"prompt": "a cat", **body}).encode()
    fields = {"host": f"127.0.0.1:{port}", "content-type": "application/json", "content-length": str(len(content))}
    head = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in (fields | headers).items()), "", ""]
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall("\r\n".join(head).encode() + content)
        yield


@pytest.mark.parametrize("first", [{}, key("k")])
def test_a_retry_joins_the_work_that_goes_on(serve: Callable[..., Served], first: dict[str, str]) -> None:
    served = serve(seconds=0.2)
    one, answer = in_background(served.url, first)
    until(lambda: served.engine.stepped)
    again, second = in_background(served.url, first | RETRY)
    one.join()
    again.join()
    assert second[0].content == answer[0].content
    assert second[0].headers[JOINED] == "true"
    assert served.engine.stepped == 4


@pytest.mark.parametrize("streamed", [False, True])
def test_work_goes_on_while_another_waits_for_it(serve: Callable[..., Served], streamed: bool) -> None:
    served = serve(seconds=0.2)
    body = {"steps": 10, "stream": streamed, "partial_images": 3}
    with asked(served.port, key("k"), **body):
        until(lambda: served.engine.stepped)
        thread, answers = in_background(served.url, key("k"), **body)
        until(lambda: served.process.life.in_flight == 2)
    until(lambda: served.process.life.in_flight == 1)
    thread.join()
    assert answers[0].status_code == 200
    assert answers[0].text.count("event: ") == (4 if streamed else 0)
    assert served.engine.stepped == 10


@pytest.mark.parametrize("streamed", [False, True])
def test_work_stops_when_all_have_gone(serve: Callable[..., Served], streamed: bool) -> None:
    served = serve(seconds=0.1)
    body = {"steps": 50, "stream": streamed}
    with asked(served.port, key("k"), **body), asked(served.port, key("k"), **body):
        until(lambda: served.process.life.in_flight == 2 and served.engine.stepped)
    until(lambda: served.process.life.in_flight == 0)
    seen = served.engine.stepped
    assert seen < 50
    time.sleep(0.3)
    assert served.engine.stepped == seen
    # What was stopped is not an answer: the key may be used again, and begins anew.
    again = httpx2.post(served.url + PATH, json={"prompt": "a cat", "steps": 2}, headers=key("k"), timeout=30)
    assert again.status_code == 200
    assert JOINED not in again.headers


def test_many_at_once_are_one(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.2)
    posted = [in_background(served.url, key("k")) for _ in range(12)]
    for thread, _ in posted:
        thread.join()
    assert len({answers[0].content for _, answers in posted}) == 1
    assert sum(JOINED in answers[0].headers for _, answers in posted) == 11
    assert served.engine.stepped == 4
