"""`Accept: image/png`: the picture by itself, and what of the JSON stands in its headers."""

import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import PIL.Image
import pytest

from tests.conftest import Called
from tests.sending import EDITS, coloured, form

PATH = "/v1/images/generations"


async def post(client: httpx2.AsyncClient, accept: str | None, **body: Any) -> httpx2.Response:
    headers = {} if accept is None else {"accept": accept}
    return await client.post(PATH, json={"prompt": "a cat", "size": "64x64", **body}, headers=headers)


@pytest.mark.parametrize(
    ("accept", "body", "kind"),
    [
        ("image/png", {}, "png"),
        ("image/webp", {}, "webp"),
        ("image/jpeg", {}, "jpeg"),
        ("IMAGE/PNG", {}, "png"),
        ("image/*", {}, "png"),
        ("image/*", {"output_format": "jpg"}, "jpeg"),
        ("image/png, image/webp", {"output_format": "webp"}, "webp"),
        ("image/webp, image/png", {}, "webp"),
        ("image/webp;q=0.5, image/jpeg", {}, "jpeg"),
        ("image/png, application/json;q=0.5", {}, "png"),
        ("image/png;q=0.9, */*;q=0.1", {}, "png"),
    ],
)
async def test_who_asks_for_a_picture_gets_the_file(
    client: httpx2.AsyncClient, accept: str, body: dict[str, Any], kind: str
) -> None:
    answer = await post(client, accept, seed=7, **body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == f"image/{kind}"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.headers["vary"] == "accept"
    with PIL.Image.open(io.BytesIO(answer.content)) as picture:
        assert ((picture.format or "").lower(), picture.size) == (kind, (64, 64))


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "", "application/json", "application/json, text/plain, */*", "image/png, */*", "image/avif",
     "text/event-stream", "image/png;q=0", "image/png;q=x", "application/json, image/png", ";;,;q=1,"],
)  # fmt: skip
async def test_who_takes_json_gets_json(client: httpx2.AsyncClient, accept: str | None) -> None:
    answer = await post(client, accept)
    assert answer.status_code == 200
    assert answer.json()["data"][0]["b64_json"]


async def test_it_is_the_same_file_as_in_the_json(client: httpx2.AsyncClient) -> None:
    bare = await post(client, "image/png", seed=7)
    told = (await post(client, None, seed=7, response_format="url")).json()["data"][0]
    assert bare.content == (await client.get(told["url"])).content


async def test_the_headers_tell_how_to_make_it_again(client: httpx2.AsyncClient) -> None:
    first = await post(client, "image/png", num_inference_steps=3, guidance_scale=2.5)
    recipe = json.loads(first.headers["x-limner-recipe"])
    assert first.headers["x-limner-model"] == recipe["model"] == "limner-mini"
    assert first.headers["x-limner-seed"] == str(recipe["seed"])
    assert (recipe["num_inference_steps"], recipe["guidance_scale"], recipe["width"]) == (3, 2.5, 64)
    assert "a cat" not in first.headers["x-limner-recipe"]
    names = ("seed", "num_inference_steps", "guidance_scale")
    again = await post(client, "image/png", **{name: recipe[name] for name in names})
    assert again.content == first.content


async def test_a_retry_tells_the_seed_of_the_picture_that_it_gets(client: httpx2.AsyncClient) -> None:
    body = {"prompt": "a cat", "size": "64x64"}
    headers = {"accept": "image/png", "idempotency-key": "k"}
    first = await client.post(PATH, json=body, headers=headers)
    again = await client.post(PATH, json=body, headers=headers)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert again.headers["x-limner-seed"] == first.headers["x-limner-seed"]


async def test_json_and_the_file_are_different_answers_to_a_retry(client: httpx2.AsyncClient) -> None:
    await post(client, "image/png")
    body = {"prompt": "a cat", "size": "64x64"}
    other = await client.post(PATH, json=body, headers={"x-stainless-retry-count": "1"})
    assert other.json()["data"]
    assert "idempotent-replayed" not in other.headers


async def test_no_recipe_where_none_may_be_told(call: Callable[..., Awaitable[Called]]) -> None:
    answer = await post((await call(metadata="none")).client, "image/png")
    assert "x-limner-recipe" not in answer.headers
    assert "x-limner-seed" in answer.headers


@pytest.mark.parametrize(
    ("body", "param"),
    [({"n": 2}, "n"), ({"stream": True}, "stream"), ({"output_format": "webp"}, "output_format")],
)
async def test_what_cannot_be_one_picture_is_refused(called: Called, body: dict[str, Any], param: str) -> None:
    answer = await post(called.client, "image/png", **body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["param"] == param
    assert called.engine.stepped == 0


async def test_no_jpeg_is_transparent(called: Called) -> None:
    answer = await post(called.client, "image/jpeg", background="transparent")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "background")
    assert called.engine.stepped == 0


async def test_errors_are_json_all_the_same(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "image/png", prompt="explode")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_failed")


async def test_what_has_no_effect_is_named(client: httpx2.AsyncClient) -> None:
    answer = await post(client, "image/jpeg", response_format="url", output_compression=50)
    assert answer.headers["x-limner-ignored"] == "response_format"
    answer = await post(client, "image/png", output_compression=50)
    assert answer.headers["x-limner-ignored"] == "output_compression"


async def test_edits_too(client: httpx2.AsyncClient) -> None:
    sent = form([("image", coloured()), ("prompt", "a cat")])
    answer = await client.post(EDITS, content=sent["content"], headers=sent["headers"] | {"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png"
    assert PIL.Image.open(io.BytesIO(answer.content)).size == (96, 80)
