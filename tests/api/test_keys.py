"""Keys: off until one is set, then needed on every route that works or tells."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from tests.conftest import Called
from tests.sending import EDITS, VARIATIONS, coloured, form

PATH = "/v1/images/generations"
BODY = {"prompt": "a cat"}


@pytest.fixture
async def keyed(call: Callable[..., Awaitable[Called]]) -> httpx2.AsyncClient:
    return (await call(api_key="right")).client


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer right"},
        {"authorization": "bearer  right"},
        {"api-key": "right"},
        {"x-api-key": "right"},
        {"g4f-api-key": "right"},
        {"authorization": "Bearer right", "x-api-key": "right"},
    ],
)
async def test_the_key_is_taken_wherever_clients_put_it(keyed: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    assert (await keyed.post(PATH, json=BODY, headers=headers)).status_code == 200
    for path in (EDITS, VARIATIONS, "/openai/deployments/flux/images/edits?api-version=1"):
        sent = form([("prompt", "P"), ("image", coloured())])
        sent["headers"] |= headers
        assert (await keyed.post(path, **sent)).status_code == 200


# What anybody may see: whether the server is there, its description, and pictures whose unguessable name one knows.
OPEN = {"/", "/health", "/ready", "/docs", "/docs/", "/docs/{name}", "/openapi.json", "/media/{name}"}


async def test_every_other_route_needs_it(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(api_key="right")).client
    application: Any = client._transport
    routers = [getattr(part, "original_router", None) for part in application.app.routes]
    routes = [route for router in routers if router for route in router.routes if isinstance(route, Route)]
    assert len(routes) > 30
    assert {route.path for route in routes} | {"/openapi.json"} >= OPEN
    for route in routes:
        path = re.sub(r"\{\w+(:path)?\}", "x", route.path)
        for method in (route.methods or set()) - {"HEAD"}:
            answer = await client.request(method, path)
            assert (answer.status_code == 401) == (route.path not in OPEN), (method, path, answer.status_code)


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer"}, {"authorization": "right"},
        {"authorization": "Basic right"}, {"api-key": ""}, {"x-api-key": "righ"}, {"api-key": "rightt"},
        {"cookie": "api-key=right"},
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", PATH), ("POST", "/images/generations/"), ("GET", "/v1/models"), ("GET", "/models/flux")],
)
async def test_without_the_key_nothing_is_done(
    keyed: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = await keyed.request(method, path + "?api_key=right", headers=headers)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_missing_and_a_wrong_key_get_one_text(keyed: httpx2.AsyncClient) -> None:
    missing = await keyed.post(PATH, json=BODY)
    wrong = await keyed.post(PATH, json=BODY, headers={"api-key": "wrong"})
    assert missing.json() == wrong.json()


async def test_two_different_keys_are_ambiguous(keyed: httpx2.AsyncClient) -> None:
    answer = await keyed.post(PATH, json=BODY, headers={"authorization": "Bearer right", "api-key": "other"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "ambiguous_credentials"


async def test_a_server_without_a_key_takes_any(client: httpx2.AsyncClient) -> None:
    headers = {"authorization": "Bearer sk-anything"}
    assert (await client.post(PATH, json=BODY, headers=headers)).status_code == 200
