"""Every failure is JSON with four keys, the right status, the field's name, and a request id."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from tests.conftest import Called

PATH = "/v1/images/generations"
JSON = {"content-type": "application/json"}


def told(answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The error object, after checking what holds for all of them."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({"prompt": None}, 400, "prompt", "missing_required_parameter"),
        ({"prompt": ""}, 400, "prompt", "invalid_value"),
        ({"prompt": " \n"}, 400, "prompt", "invalid_value"),
        ({"prompt": 5}, 400, "prompt", "invalid_type"),
        ({"prompt": ["a cat"]}, 400, "prompt", "invalid_type"),
        ({"prompt": "a" * 32_001}, 400, "prompt", "invalid_value"),
        ({"n": 11}, 400, "n", "integer_above_max_value"),
        ({"n": -1}, 400, "n", "integer_below_min_value"),
        ({"n": True}, 400, "n", "invalid_type"),
        ({"n": 1.5}, 400, "n", "invalid_type"),
        ({"n": "one"}, 400, "n", "invalid_type"),
        ({"n": 10**400}, 400, "n", "integer_above_max_value"),
        ({"batch_size": 11}, 400, "n", "integer_above_max_value"),
        ({"size": "banana"}, 400, "size", "invalid_value"),
        ({"size": "0x0"}, 400, "size", "invalid_value"),
        ({"size": "99999x99999"}, 400, "size", "invalid_value"),
        ({"size": "512"}, 400, "size", "invalid_value"),
        ({"size": 512}, 400, "size", "invalid_type"),
        ({"width": 512}, 400, "height", "missing_required_parameter"),
        ({"width": 512, "height": 512, "size": "64x64"}, 400, "size", "invalid_value"),
        ({"response_format": "gif"}, 400, "response_format", "invalid_value"),
        ({"output_format": "gif"}, 400, "output_format", "invalid_value"),
        ({"output_compression": 101}, 400, "output_compression", "integer_above_max_value"),
        ({"quality": "best"}, 400, "quality", "invalid_value"),
        ({"seed": 2**32}, 400, "seed", "integer_above_max_value"),
        ({"seed": [1, 3]}, 400, "seed", "invalid_value"),
        ({"seed": [1, 2], "n": 3}, 400, "seed", "invalid_value"),
        ({"seed": {"a": 1}}, 400, "seed", "invalid_type"),
        ({"steps": 0}, 400, "num_inference_steps", "integer_below_min_value"),
        ({"steps": 4, "num_inference_steps": 8}, 400, "num_inference_steps", "invalid_value"),
        ({"guidance_scale": 1e300}, 400, "guidance_scale", "decimal_above_max_value"),
        ({"guidance_scale": "NaN"}, 400, "guidance_scale", "invalid_type"),
        ({"background": "transparent", "output_format": "jpeg"}, 400, "background", "invalid_value"),
        ({"background": "transparent", "output_format": "jpg"}, 400, "background", "invalid_value"),
        ({"background": "pink"}, 400, "background", "invalid_value"),
        ({"partial_images": 4}, 400, "partial_images", "integer_above_max_value"),
        ({"partial_images": -1}, 400, "partial_images", "integer_below_min_value"),
        ({"stream": True, "partial_images": 4}, 400, "partial_images", "integer_above_max_value"),
        ({"stream": True, "n": 11}, 400, "n", "integer_above_max_value"),
        ({"stream": "yes"}, 400, "stream", "invalid_type"),
        ({"model": "nope"}, 404, "model", "model_not_found"),
        ({"model": 7}, 400, "model", "invalid_type"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx2.AsyncClient, body: dict[str, Any], status: int, param: str, code: str
) -> None:
    error = told(await client.post(PATH, json={"prompt": "a cat"} | body), status)
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)


@pytest.mark.parametrize(
    ("content", "param", "code"),
    [
        (b"", None, "invalid_json"),
        (b"{", None, "invalid_json"),
        (b"[]", None, "invalid_json"),
        (b'"a cat"', None, "invalid_json"),
        (b"null", None, "invalid_json"),
        (b"{}", "prompt", "missing_required_parameter"),
        (b'{"prompt": "\xff"}', None, "invalid_json"),
        (b'{"prompt": "a", "n": NaN}', None, "invalid_json"),
        (b'{"prompt": "a", "n": -Infinity}', None, "invalid_json"),
        (b'{"n": 1e400}', "n", "integer_above_max_value"),
        (b'{"prompt": "a", "guidance_scale": -1e400}', "guidance_scale", "decimal_below_min_value"),
        (b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}", None, "invalid_json"),
        (b'{"prompt": "\\ud800"}', "prompt", "invalid_value"),
        (b'{"prompt": "a", "negative_prompt": "\\udfff"}', "negative_prompt", "invalid_value"),
        (b'{"prompt": "a", "model": "\\udfff"}', "model", "invalid_value"),
        (b'{"prompt": "a", "prompt": "b"}', "prompt", "invalid_json"),
        (b"[" * 100_000, None, "invalid_json"),
        (b'{"prompt":' * 50_000, None, "invalid_json"),
    ],
)
async def test_json_that_breaks_servers(client: httpx2.AsyncClient, content: bytes, param: str, code: str) -> None:
    error = told(await client.post(PATH, content=content, headers=JSON), 400)
    assert (error["param"], error["code"]) == (param, code)


async def test_an_unknown_model_shows_the_nearest(client: httpx2.AsyncClient) -> None:
    error = told(await client.post(PATH, json={"prompt": "a", "model": "flax"}), 404)
    assert "flux" in error["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_only_json_is_read(client: httpx2.AsyncClient, kind: str) -> None:
    error = told(await client.post(PATH, content=b'{"prompt": "a"}', headers={"content-type": kind}), 400)
    assert error["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/images", "/media/../x", "/docs/x.js", "/media/a.png", "/v1/chat/completions"]
)
async def test_unknown_routes(client: httpx2.AsyncClient, path: str) -> None:
    assert told(await client.get(path), 404)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("GET", PATH, "POST"), ("DELETE", "/v1/models", "GET"), ("OPTIONS", PATH, "POST")]
)
async def test_wrong_methods(client: httpx2.AsyncClient, method: str, path: str, allow: str) -> None:
    answer = await client.request(method, path)
    assert told(answer, 405)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == allow


async def test_a_body_over_the_limit_is_refused_before_it_is_read(client: httpx2.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b" " * 100_000

    error = told(await client.post(PATH, content=b" " * 1_000_001, headers=JSON), 413)
    assert error["code"] == "request_too_large"
    told(await client.post(PATH, content=endless(), headers=JSON), 413)
    assert (await client.post(PATH, content=b" " * 999_980 + b'{"prompt": "a cat"}', headers=JSON)).status_code == 200


async def test_a_failing_engine_is_not_asked_again(client: httpx2.AsyncClient) -> None:
    answer = await client.post(PATH, json={"prompt": "explode"})
    error = told(answer, 500)
    assert (error["type"], error["code"]) == ("server_error", "engine_failed")
    assert answer.headers["x-should-retry"] == "false"


async def test_a_bug_shows_its_request_id_only_and_is_logged(
    call: Callable[..., Awaitable[Called]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    called = await call()

    def broken(data: bytes, kind: str) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(called.store, "put", broken)
    with caplog.at_level(logging.ERROR):
        answer = await called.client.post(PATH, json={"prompt": "a cat"})
    error = told(answer, 500)
    assert error["code"] == "internal_error"
    assert answer.headers["x-request-id"] in error["message"]
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


async def test_request_ids_are_taken_over_when_sane(client: httpx2.AsyncClient) -> None:
    async def answered(given: str | bytes) -> str:
        return (await client.get("/health", headers=[("x-request-id", given)])).headers["x-request-id"]

    assert await answered("trace-1.2_3") == "trace-1.2_3"
    for odd in ("", "a b", "x" * 129, "a\tb", b"\xe4"):
        assert (await answered(odd)).startswith("req_")
    assert await answered("") != await answered("")


async def test_answers_say_how_long_they_took(client: httpx2.AsyncClient) -> None:
    assert int((await client.get("/nope")).headers["openai-processing-ms"]) >= 0


async def test_prompts_and_queries_stay_out_of_the_log(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="limner"):
        await client.post(PATH + "?key=hunter2", json={"prompt": "my private wish"})
    assert "limner-mini drew 1 of 256x256" in caplog.text
    assert "private" not in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"loras": [{"name": "ink"}]}, "loras"),
        ({"loras": {"name": "ink"}}, "loras"),
        ({"loras": "ink"}, "loras"),
        ({"scheduler": 3}, "scheduler"),
    ],
)
async def test_what_this_model_cannot_add_is_told(client: httpx2.AsyncClient, body: dict, param: str) -> None:
    answer = await client.post("/v1/images/generations", json={"prompt": "a cat", **body})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
