"""POST /v1/images/generations: what each client sends, and that it gets the fields it reads."""

import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import PIL.Image
import pytest

from tests.conftest import Called

PATH = "/v1/images/generations"
URL_ONLY, B64_ONLY, BOTH = {"url"}, {"b64_json"}, {"url", "b64_json"}


async def made(client: httpx2.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await client.post(PATH, json={"prompt": "a cat", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ({"model": "flux", "response_format": None}, URL_ONLY),
        ({"model": "flux", "response_format": "url"}, URL_ONLY),
        ({"model": "flux", "response_format": "b64_json"}, B64_ONLY),
        ({"model": "flux", "response_format": "base64"}, B64_ONLY),
        ({"model": "flux"}, BOTH),
        ({}, BOTH),
        ({"model": None}, BOTH),
        ({"model": "dall-e-2"}, URL_ONLY),
        ({"model": "dall-e-3", "response_format": None}, URL_ONLY),
        ({"model": "dall-e-3", "response_format": "b64_json"}, B64_ONLY),
        ({"model": "gpt-image-1"}, B64_ONLY),
        ({"model": "chatgpt-image-latest"}, B64_ONLY),
        ({"model": "gpt-image-1", "response_format": "url"}, URL_ONLY),
        ({"model": "gpt-image-1", "response_format": None}, URL_ONLY),
    ],
)
async def test_each_client_gets_the_kind_it_reads(
    client: httpx2.AsyncClient, body: dict[str, Any], kinds: set[str]
) -> None:
    data = (await made(client, **body))["data"]
    assert {key for key in data[0] if key in BOTH} == kinds
    if "url" in kinds:
        picture = (await client.get(data[0]["url"])).content
    if "b64_json" in kinds:
        picture = base64.b64decode(data[0]["b64_json"], validate=True)
    assert PIL.Image.open(io.BytesIO(picture)).size == (256, 256)


async def test_the_answer_says_what_was_made_and_by_whom(client: httpx2.AsyncClient) -> None:
    answer = await client.post(PATH, json={"model": "flux", "prompt": "a “cat”", "seed": 7, "size": "128x64"})
    body = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-limner-model"] == body["model"] == "limner-mini"
    assert (body["size"], body["quality"], body["background"], body["output_format"]) == (
        "128x64", "medium", "opaque", "png",
    )  # fmt: skip
    assert body["data"][0]["revised_prompt"] == "a “cat”"
    assert body["data"][0]["seed"] == 7
    assert isinstance(body["created"], int)
    usage = body["usage"]
    assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]
    assert usage["output_tokens"] == 8 * 4


async def test_urls_are_absolute_and_end_in_the_real_format(client: httpx2.AsyncClient) -> None:
    for kind in ("png", "jpeg", "webp"):
        url = (await made(client, response_format="url", output_format=kind))["data"][0]["url"]
        assert url.startswith("http://localhost:1337/media/")
        assert url.endswith("." + kind.replace("jpeg", "jpg"))
        assert (await client.get(url)).headers["content-type"] == f"image/{kind}"


async def test_jpg_is_jpeg(client: httpx2.AsyncClient) -> None:
    assert (await made(client, output_format="jpg"))["output_format"] == "jpeg"


@pytest.mark.parametrize("n", [2, "2", 2.0])
async def test_n_pictures_each_with_its_seed(client: httpx2.AsyncClient, n: object) -> None:
    data = (await made(client, n=n, seed=5))["data"]
    assert [picture["seed"] for picture in data] == [5, 6]


@pytest.mark.parametrize("n", [0, "0", None])
async def test_no_pictures_means_one(client: httpx2.AsyncClient, n: object) -> None:
    assert len((await made(client, n=n))["data"]) == 1


@pytest.mark.parametrize(
    ("wish", "size"),
    [
        ({"size": "128x64"}, "128x64"),
        ({"size": "128*64"}, "128x64"),
        ({"size": "128×64"}, "128x64"),
        ({"size": "auto"}, "256x256"),
        ({"size": ""}, "256x256"),
        ({"size": None}, "256x256"),
        ({"image_size": "128x64"}, "128x64"),
        ({"width": 128, "height": "64"}, "128x64"),
        ({"width": 128, "height": 64, "size": "auto"}, "128x64"),
    ],
)
async def test_sizes_in_every_spelling(client: httpx2.AsyncClient, wish: dict[str, Any], size: str) -> None:
    assert (await made(client, **wish))["size"] == size


async def test_the_names_of_other_servers_mean_the_same(client: httpx2.AsyncClient) -> None:
    ours = await made(
        client,
        num_inference_steps=3,
        guidance_scale=2.5,
        seed=9,
        n=2,
        negative_prompt="blur",
        response_format="b64_json",
    )
    theirs = await made(
        client, steps=3, cfg_scale="2.5", rng_seed=9, batch_size=2, negative_prompt="blur", response_format="base64"
    )
    assert ours["data"] == theirs["data"]


async def test_every_null_is_absent(client: httpx2.AsyncClient) -> None:
    names = ("model", "n", "size", "quality", "style", "background", "moderation", "output_format", "seed", "user",
             "output_compression", "partial_images", "stream", "response_format", "num_inference_steps")  # fmt: skip
    answer = await client.post(PATH, json={"prompt": "a cat"} | dict.fromkeys(names))
    assert answer.status_code == 200
    assert "x-limner-ignored" not in answer.headers


async def test_what_has_no_effect_is_named(client: httpx2.AsyncClient) -> None:
    body = {"prompt": "a cat", "style": "vivid", "moderation": "low", "user": "u", "schnörkel": 1, "a, b\r\n": 2}
    answer = await client.post(PATH, json=body | {"output_compression": 50})
    assert answer.status_code == 200
    named = answer.headers["x-limner-ignored"].split(", ")
    assert set(named) == {"style", "moderation", "schn%C3%B6rkel", "a%2C%20b%0D%0A", "output_compression"}


async def test_a_negative_prompt_without_guidance_is_named(client: httpx2.AsyncClient) -> None:
    body = {"prompt": "a cat", "negative_prompt": "blur"}
    without = await client.post(PATH, json=body | {"guidance_scale": 1})
    assert without.headers["x-limner-ignored"] == "negative_prompt"
    guided = await client.post(PATH, json=body | {"guidance_scale": 3})
    assert "x-limner-ignored" not in guided.headers


async def test_strict_servers_refuse_unknown_fields(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(strict=True)).client
    answer = await client.post(PATH, json={"prompt": "a cat", "sead": 7})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("sead", "unknown_parameter")
    assert "'seed'" in error["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [({"style": "vivid"}, "style"), ({"output_compression": 50}, "output_compression"), ({"sampler": "a"}, "scheduler"),
     ({"partial_images": 2}, "partial_images")],
)  # fmt: skip
async def test_strict_servers_refuse_fields_without_effect(
    call: Callable[..., Awaitable[Called]], body: dict[str, Any], param: str
) -> None:
    called = await call(strict=True)
    answer = await called.client.post(PATH, json={"prompt": "a cat", **body})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, "unknown_parameter")
    assert not called.engine.asked
    whole = {"prompt": "a cat", "quality": "low", "user": "u", "background": "opaque", "output_compression": 100}
    assert (await called.client.post(PATH, json=whole)).status_code == 200


@pytest.mark.parametrize(
    "path", [PATH, PATH + "/", "/images/generations", "/images/generations/", PATH + "?api-version=1"]
)
async def test_every_spelling_of_the_route(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.post(path, json={"prompt": "a cat"})).status_code == 200


async def test_urls_follow_the_host_or_the_setting(call: Callable[..., Awaitable[Called]]) -> None:
    async def url(headers: dict[str, str], **settings: Any) -> str:
        client = (await call(**settings)).client
        answer = await client.post(PATH, json={"prompt": "a cat", "response_format": "url"}, headers=headers)
        return answer.json()["data"][0]["url"].partition("/media/")[0]

    proxied = {"x-forwarded-proto": "https", "x-forwarded-host": "img.example"}
    assert await url({"host": "127.0.0.1:99"}) == "http://127.0.0.1:99"
    assert await url(proxied) == "http://localhost:1337"
    assert await url(proxied, trust_proxy=True) == "https://img.example"
    assert await url({}, public_base_url="https://img.example/x/") == "https://img.example/x"


async def test_a_body_may_begin_with_a_byte_order_mark(client: httpx2.AsyncClient) -> None:
    headers = {"content-type": "application/json; charset=utf-8"}
    answer = await client.post(PATH, content=b'\xef\xbb\xbf{"prompt": "a cat"}', headers=headers)
    assert answer.status_code == 200
