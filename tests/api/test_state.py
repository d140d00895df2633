"""What the server says of itself: models, health, readiness, and its description without the internet."""

import re
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from tests.conftest import Called


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/", "/models", "/models/"])
async def test_the_list_holds_models_and_aliases(client: httpx2.AsyncClient, path: str) -> None:
    listed = (await client.get(path)).json()
    assert listed["object"] == "list"
    by_name = {entry["id"]: entry for entry in listed["data"]}
    assert {"limner-mini", "flux", "dall-e-3", "gpt-image-1", "gpt-image-2"} <= set(by_name)
    for entry in by_name.values():
        assert entry["object"] == "model"
        assert isinstance(entry["created"], int)
        assert entry["owned_by"]
        assert entry["limner"]["served_by"] == "limner-mini"


async def test_a_model_shows_its_card(client: httpx2.AsyncClient) -> None:
    entry = (await client.get("/v1/models/flux")).json()
    assert entry["id"] == "flux"
    card = entry["limner"]
    assert card["sizes"] == {"native": "256x256", "min_side": 64, "max_side": 2048}
    assert card["defaults"]["num_inference_steps"] == 4
    assert "seed" not in card["knobs"]
    assert "guidance_scale" in card["knobs"]
    assert card["schedulers"] == []
    assert card["licence"] == "Apache-2.0"
    assert card["about"]


@pytest.mark.parametrize(
    "name", ["nope", "black-forest-labs/FLUX.1-schnell", "black-forest-labs%2FFLUX.1-schnell", "%ff"]
)
async def test_an_unknown_model_is_404(client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.get("/v1/models/" + name)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_health_needs_no_key(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(api_key="right")).client
    assert (await client.get("/health")).json() == {"status": "ok"}
    assert (await client.head("/health")).status_code == 200
    assert (await client.get("/ready")).status_code == 200


async def test_ready_says_with_what(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/ready")
    queue = {"waiting": 0, "max": 256, "seconds": 0, "max_seconds": 300}
    assert answer.json() == {"status": "ready", "model": "limner-mini", "queue": queue}


async def test_the_root_leads_to_the_description(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


async def test_the_docs_load_nothing_from_elsewhere(client: httpx2.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    wanted = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {"/docs/docs.js", "/docs/docs.css", "/openapi.json"} <= set(wanted)
    for link in wanted:
        if not link.startswith("data:"):
            answer = await client.get(link)
            assert answer.status_code == 200
            assert "://" not in link
            if link.endswith((".js", ".css")):
                assert "http:" not in answer.text
                assert "https:" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=", page.text)


async def test_the_description_tells_the_body_and_the_errors(client: httpx2.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    operation = described["paths"]["/v1/images/generations"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body["required"] == ["prompt"]
    assert {"model", "n", "size", "seed", "num_inference_steps", "negative_prompt"} <= set(body["properties"])
    for path, methods in described["paths"].items():
        for method in methods.values():
            assert "422" not in method["responses"], path
            error = method["responses"]["400"]["content"]["application/json"]["schema"]
            assert error == {"$ref": "#/components/schemas/Error"}
