"""`background`: real alpha where it is asked for, told in the answer, and refused where it cannot be."""

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import openai
import PIL.Image
import pytest

from tests.conftest import Called
from tests.fakes import CARD, GradientEngine
from tests.sending import EDITS, GENERATIONS, VARIATIONS, coloured, form

WISH = {"prompt": "a cat", "size": "64x64", "background": "transparent", "response_format": "b64_json"}


def opened(b64: str) -> PIL.Image.Image:
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(b64)))
    picture.load()
    return picture


@pytest.mark.parametrize("kind", ["png", "webp"])
async def test_alpha_where_it_is_asked_for(client: httpx2.AsyncClient, kind: str) -> None:
    answer = (await client.post(GENERATIONS, json=WISH | {"output_format": kind})).json()
    assert (answer["background"], answer["output_format"]) == ("transparent", kind)
    picture = opened(answer["data"][0]["b64_json"])
    assert (picture.format, picture.mode) == (kind.upper(), "RGBA")
    assert picture.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("background", ["auto", "opaque", None, ""])
async def test_none_where_it_is_not(client: httpx2.AsyncClient, background: str | None) -> None:
    answer = await client.post(GENERATIONS, json=WISH | {"background": background or None})
    assert answer.json()["background"] == "opaque"
    assert opened(answer.json()["data"][0]["b64_json"]).mode == "RGB"


@pytest.mark.parametrize(("path", "kind"), [(EDITS, "image_edit"), (VARIATIONS, "image_edit")])
async def test_edits_and_their_events(client: httpx2.AsyncClient, path: str, kind: str) -> None:
    fields = [("prompt", "P"), ("image", coloured()), ("background", "transparent")]
    answer = (await client.post(path, **form(fields))).json()
    assert answer["background"] == "transparent"
    assert opened(answer["data"][0]["b64_json"]).mode == "RGBA"
    streamed = await client.post(path, **form([*fields, ("stream", "true"), ("partial_images", "1")]))
    assert streamed.text.count('"background": "transparent"') == 2
    assert f"event: {kind}.completed" in streamed.text


async def test_a_model_that_cannot_says_so(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    card = replace(CARD, abilities=("generate",))
    monkeypatch.setattr(GradientEngine, "cards", lambda self: [card])
    called: Called = await call()
    answer = await called.client.post(GENERATIONS, json=WISH)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "background", "unsupported")
    assert not called.engine.asked


async def test_the_card_says_who_can(client: httpx2.AsyncClient) -> None:
    assert "transparent" in (await client.get("/v1/models/flux")).json()["limner"]["abilities"]


def test_the_openai_client(server: str) -> None:
    with openai.OpenAI(base_url=f"{server}/v1", api_key="local", max_retries=0) as client:
        made = client.images.generate(model="gpt-image-1", prompt="a cat", background="transparent")
        assert made.background == "transparent"
        assert made.data
        assert opened(made.data[0].b64_json or "").mode == "RGBA"
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.generate(model="gpt-image-1", prompt="a cat", background="transparent", output_format="jpeg")
    assert refused.value.param == "background"
