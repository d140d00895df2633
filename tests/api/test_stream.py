"""`stream: true`: the events as OpenAI names them, what they hold, and what becomes of them when something fails."""

import base64
import io
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx2
import openai
import PIL.Image
import pytest

from limner.server import stream
from limner.server.pieces import slices
from limner.types import RAW_RGB, Image
from tests.conftest import Called, Served, until
from tests.fakes import CARD
from tests.sending import hang_up

PATH = "/v1/images/generations"
PARTIAL, COMPLETED = "image_generation.partial_image", "image_generation.completed"
# What OpenAI's events hold, and what ours hold besides.
COMMON = {"type", "b64_json", "created_at", "size", "quality", "background", "output_format"}
OURS = {"model", "seed"}


def events(text: str) -> list[dict[str, Any]]:
    """The events of a stream, each with the name on its `event` line checked against its `type`."""
    assert text.endswith("\n\n")
    found: list[dict[str, Any]] = []
    for frame in text[:-2].split("\n\n"):
        if frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


async def streamed(client: httpx2.AsyncClient, **body: Any) -> list[dict[str, Any]]:
    answer = await client.post(PATH, json={"prompt": "a cat", "stream": True, "size": "64x64", **body})
    assert answer.status_code == 200, answer.text
    return events(answer.text)


def picture(event: dict[str, Any]) -> PIL.Image.Image:
    found = PIL.Image.open(io.BytesIO(base64.b64decode(event["b64_json"], validate=True)))
    found.load()
    return found


async def test_the_events_hold_every_field(client: httpx2.AsyncClient) -> None:
    *previews, last = await streamed(client, partial_images=2, quality="high", seed=7)
    assert [(event["type"], event["partial_image_index"]) for event in previews] == [(PARTIAL, 0), (PARTIAL, 1)]
    for event in previews:
        assert set(event) == COMMON | {"partial_image_index"}
    assert last["type"] == COMPLETED
    assert set(last) == COMMON | OURS | {"usage"}
    assert set(last["usage"]) == {"total_tokens", "input_tokens", "output_tokens", "input_tokens_details"}
    for event in (*previews, last):
        assert (event["size"], event["quality"], event["background"], event["output_format"]) == (
            "64x64", "high", "opaque", "png",
        )  # fmt: skip
        assert isinstance(event["created_at"], int)
        assert picture(event).size == (64, 64)
    assert (last["seed"], last["model"]) == (7, "limner-mini")


async def test_the_headers_keep_proxies_from_holding_it_back(client: httpx2.AsyncClient) -> None:
    answer = await client.post(PATH, json={"prompt": "a cat", "stream": True, "style": "vivid"})
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    assert "content-length" not in answer.headers
    assert answer.headers["x-limner-model"] == "limner-mini"
    assert answer.headers["x-limner-ignored"] == "style"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("wish", "count"), [({}, 0), ({"partial_images": 0}, 0), ({"partial_images": None}, 0),
                                             ({"partial_images": 1}, 1), ({"partial_images": "3"}, 3)])  # fmt: skip
async def test_as_many_previews_as_were_asked_for(client: httpx2.AsyncClient, wish: dict[str, Any], count: int) -> None:
    assert [event["type"] for event in await streamed(client, **wish)] == [*[PARTIAL] * count, COMPLETED]


async def test_previews_come_nearer_and_the_picture_is_the_same_without_them(client: httpx2.AsyncClient) -> None:
    *previews, last = await streamed(client, partial_images=3, seed=7)
    (plain,) = await streamed(client, seed=7)
    whole = await client.post(
        PATH, json={"prompt": "a cat", "size": "64x64", "seed": 7, "response_format": "b64_json", "partial_images": 3}
    )
    assert whole.headers["x-limner-ignored"] == "partial_images"
    assert last["b64_json"] == plain["b64_json"] == whole.json()["data"][0]["b64_json"]

    def distance(event: dict[str, Any]) -> int:
        pairs = zip(picture(event).tobytes(), picture(last).tobytes(), strict=True)
        return sum(abs(one - other) for one, other in pairs)

    away = [distance(event) for event in previews]
    assert away == sorted(away, reverse=True)
    assert away[-1] > 0


async def test_a_preview_carries_no_recipe(client: httpx2.AsyncClient) -> None:
    preview, last = await streamed(client, partial_images=1)
    assert "limner" in picture(last).info
    assert picture(preview).info == {}


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_all_its_pictures_are_of_the_format(client: httpx2.AsyncClient, kind: str) -> None:
    for event in await streamed(client, partial_images=1, output_format=kind):
        assert (picture(event).format or "").lower() == event["output_format"] == kind


async def test_several_pictures_each_say_which_they_are(client: httpx2.AsyncClient) -> None:
    found = await streamed(client, n=2, partial_images=1, seed=7)
    assert [(event["type"], event["index"]) for event in found] == [
        (PARTIAL, 0), (COMPLETED, 0), (PARTIAL, 1), (COMPLETED, 1),
    ]  # fmt: skip
    assert [event["partial_image_index"] for event in found if event["type"] == PARTIAL] == [0, 0]
    assert [event["seed"] for event in found if event["type"] == COMPLETED] == [7, 8]
    (alone,) = await streamed(client, seed=8)
    assert found[-1]["b64_json"] == alone["b64_json"]
    assert found[-1]["usage"] == alone["usage"]


async def test_a_url_instead_of_the_last_base64_where_one_is_asked_for(client: httpx2.AsyncClient) -> None:
    preview, last = await streamed(client, partial_images=1, response_format="url")
    assert "b64_json" in preview
    assert "b64_json" not in last
    assert (await client.get(last["url"])).headers["content-type"] == "image/png"


@pytest.mark.parametrize("wish", [{}, {"model": "dall-e-3"}, {"response_format": None}, {"response_format": "base64"}])
async def test_base64_where_none_is(client: httpx2.AsyncClient, wish: dict[str, Any]) -> None:
    (event,) = await streamed(client, **wish)
    assert "url" not in event
    assert picture(event).size == (64, 64)


async def test_an_error_before_the_first_event_keeps_its_status(client: httpx2.AsyncClient) -> None:
    """The engine fails at its second step, and no preview was asked for."""
    answer = await client.post(PATH, json={"prompt": "explode", "stream": True})
    assert answer.status_code == 500
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["code"] == "engine_failed"


async def test_an_error_after_it_is_an_event(client: httpx2.AsyncClient) -> None:
    preview, last = await streamed(client, prompt="explode", partial_images=3)
    assert preview["type"] == PARTIAL
    assert last["type"] == "error"
    assert set(last["error"]) == {"message", "type", "param", "code"}
    assert (last["error"]["type"], last["error"]["code"]) == ("server_error", "engine_failed")


async def test_a_bug_after_it_is_an_event_that_tells_nothing(
    call: Callable[..., Awaitable[Called]], monkeypatch: pytest.MonkeyPatch
) -> None:
    called = await call()

    def broken(data: bytes, kind: str) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(called.store, "put", broken)
    preview, last = await streamed(called.client, partial_images=1, response_format="url")
    assert (preview["type"], last["type"], last["error"]["code"]) == (PARTIAL, "error", "internal_error")
    assert "secret" not in json.dumps(last)


async def test_too_few_pictures_are_an_error() -> None:
    async def one_of_two() -> Any:
        yield Image(data=bytes(12), mime=RAW_RGB, width=2, height=2, seed=1, index=0)

    request = replace(CARD.request("a cat", n=2), width=2, height=2)
    with pytest.raises(Exception, match="1 of 2 pictures"):
        [frame async for frame in stream.frames(one_of_two(), request, stream.GENERATION)]


async def test_edits_have_events_of_their_own_name() -> None:
    async def one() -> Any:
        yield Image(data=b"abc", mime="image/png", width=2, height=2, seed=1, index=0)

    request = CARD.request("a cat")
    (chunk,) = [chunk async for chunk in stream.frames(one(), request, stream.EDIT)]
    frame = b"".join(slices(chunk))
    assert frame.startswith(b"event: image_edit.completed\ndata: {")
    (event,) = events(frame.decode())
    assert event["b64_json"] == "YWJj"


def test_the_openai_client_reads_the_events_and_raises_the_error(server: str) -> None:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="local", max_retries=0) as client:
        wish: dict[str, Any] = {"model": "flux", "size": "256x256", "stream": True, "partial_images": 2}
        with client.images.generate(prompt="a cat", **wish) as events:
            assert [event.type for event in events] == [PARTIAL, PARTIAL, COMPLETED]
        with client.images.generate(prompt="explode", **(wish | {"partial_images": 3})) as events:
            assert next(events).type == PARTIAL
            with pytest.raises(openai.APIError, match="exploded"):
                next(events)


def test_silence_is_filled_and_events_come_while_it_is_drawn(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.4, heartbeat=0.1)
    arrived: list[tuple[str, int]] = []
    body = {"prompt": "a cat", "stream": True, "partial_images": 1, "steps": 4}
    with httpx2.stream("POST", served.url + PATH, json=body, timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith((":", "event:")):
                arrived.append((line, served.engine.stepped))
    assert arrived[0][0] == ": keep-alive"
    names = [line for line, _ in arrived if line.startswith("event:")]
    assert names == [f"event: {PARTIAL}", f"event: {COMPLETED}"]
    (steps_then,) = [steps for line, steps in arrived if line == f"event: {PARTIAL}"]
    assert steps_then < 4
    assert sum(line.startswith(":") for line, _ in arrived) >= 4


def test_an_error_after_a_comment_is_an_event_too(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.3, heartbeat=0.1)
    answer = httpx2.post(served.url + PATH, json={"prompt": "explode", "stream": True}, timeout=30)
    assert answer.status_code == 200
    assert answer.text.startswith(": keep-alive\n\n")
    assert [event["error"]["code"] for event in events(answer.text)] == ["engine_failed"]


def test_hanging_up_stops_the_engine_within_a_step(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.2)
    hang_up(served, {"prompt": "a", "steps": 50, "stream": True, "partial_images": 3})


def test_hanging_up_after_the_first_event_stops_it_too(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.1)
    body = {"prompt": "a", "steps": 50, "stream": True, "partial_images": 3}
    with httpx2.stream("POST", served.url + PATH, json=body, timeout=30) as answer:
        next(answer.iter_bytes())
    until(lambda: served.process.life.in_flight == 0)
    seen = served.engine.stepped
    assert seen <= 20
    time.sleep(0.3)
    assert served.engine.stepped == seen


def test_a_stopping_server_says_so_in_the_stream(serve: Callable[..., Served]) -> None:
    served = serve(seconds=0.1, shutdown_grace=0.2)
    body = {"prompt": "a", "steps": 50, "stream": True, "partial_images": 3}
    with httpx2.stream("POST", served.url + PATH, json=body, timeout=30) as answer:
        chunks = answer.iter_text()
        text = next(chunks)
        served.process.handle_exit(15, None)
        text += "".join(chunks)
    assert events(text)[-1]["error"]["code"] == "draining"
