"""The addresses at which clients look, over real sockets: a path is decoded by the server, not by a client library."""

import base64
import urllib.parse
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest

from limner.studio import Studio
from tests.fakes import CARD, GradientEngine
from tests.sending import coloured, form, half

AZURE = "/openai/deployments/{}/images/generations"


@pytest.mark.parametrize("path", [AZURE + "?api-version=2025-04-01-preview", AZURE, AZURE + "/"])
@pytest.mark.parametrize("model", ["flux", "gpt-image-1"])
def test_the_model_of_the_path(server: str, path: str, model: str) -> None:
    answer = httpx2.post(server + path.format(model), json={"prompt": "a cat", "size": "64x64"})
    assert answer.status_code == 200
    # What is answered when response_format is absent goes by the model's name.
    assert ("url" in answer.json()["data"][0]) == (model == "flux")
    assert "x-limner-ignored" not in answer.headers


def test_the_paths_model_counts_and_the_bodys_is_named(server: str) -> None:
    wish = {"prompt": "a cat", "size": "64x64", "model": "nope"}
    answer = httpx2.post(server + AZURE.format("flux"), json=wish)
    assert (answer.status_code, answer.headers["x-limner-ignored"]) == (200, "model")
    assert "x-limner-ignored" not in httpx2.post(server + AZURE.format("flux"), json=wish | {"model": "flux"}).headers


@pytest.mark.parametrize("model", ["nope", "black-forest-labs/FLUX.1-schnell", "black-forest-labs%2FFLUX.1-schnell"])
def test_an_unknown_model_in_a_path(server: str, model: str) -> None:
    answer = httpx2.post(server + AZURE.format(model), json={"prompt": "a cat"})
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == ("model", "model_not_found")
    assert urllib.parse.unquote(model) in error["message"]


def test_the_azure_client(server: str) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=server, api_key="local", api_version="2025-04-01-preview", max_retries=0
    ) as client:
        made = client.images.generate(model="gpt-image-1", prompt="a cat", size="256x256")
        edited = client.images.edit(model="gpt-image-1", prompt="a dog", image=("a.png", coloured()), mask=half())
    for answer in (made, edited):
        assert answer.data is not None
        assert base64.b64decode(answer.data[0].b64_json or "").startswith(b"\x89PNG")


@pytest.mark.parametrize("spelling", ["owner/some.model-1", "owner%2Fsome.model-1"])
def test_a_models_name_may_hold_a_slash(serve: Any, monkeypatch: pytest.MonkeyPatch, spelling: str) -> None:
    card = replace(CARD, id="owner/some.model-1")
    monkeypatch.setattr(GradientEngine, "cards", lambda self: [CARD, card])
    url = serve().url
    for prefix in ("/v1/models/", "/models/"):
        answer = httpx2.get(url + prefix + spelling)
        assert (answer.status_code, answer.json()["id"]) == (200, card.id)
    made = [httpx2.post(url + AZURE.format(spelling), json={"prompt": "a cat", "size": "64x64"})]
    edits = AZURE.format(spelling).replace("generations", "edits")
    for path in (edits, edits + "/", edits.replace("/openai", "/v1/openai")):
        made.append(httpx2.post(url + path, **form([("prompt", "a cat"), ("image", coloured())])))
    fields = [("prompt", "a cat"), ("image", coloured()), ("model", card.id)]
    made.append(httpx2.post(url + "/v1/images/edits", **form(fields)))
    for answer in made:
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == card.id


def test_studio_serves_both_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would say nothing if the second card were not served."""
    card = replace(CARD, id="owner/some.model-1")
    monkeypatch.setattr(GradientEngine, "cards", lambda self: [CARD, card])
    assert {found.id for found in Studio([GradientEngine()]).cards()} == {CARD.id, card.id}
