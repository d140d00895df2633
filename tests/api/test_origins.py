"""Browser attacks: names re-bound to this machine, and pages of other sites."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from tests.conftest import Called

PATH = "/v1/images/generations"
BODY = {"prompt": "a cat"}


@pytest.mark.parametrize("host", ["localhost:1337", "127.0.0.1", "[::1]:1337", "LOCALHOST", "localhost:80"])
async def test_local_names_are_answered(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/health", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com", "localhost.evil.com", "localhost@evil.com", "evil.com@localhost", "", "localhost.", "localhost:",
        "localhost:x", "localhost:123456", "[::1%25eth0]", "[::1", "192.168.1.5", "0.0.0.0:1337", "localhost/", "a b",
        "localhost, evil.com",
    ],
)  # fmt: skip
async def test_other_names_are_not(client: httpx2.AsyncClient, host: str) -> None:
    answer = await client.get("/health", headers={"host": host})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_host"
    assert answer.headers["x-request-id"]


async def test_two_hosts_are_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/health", headers=[("host", "localhost"), ("host", "localhost")])
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({"allowed_hosts": "img.example"}, "img.example:8080", 200),
        ({"allowed_hosts": "img.example"}, "evil.com", 400),
        ({"allowed_hosts": "*"}, "evil.com", 200),
        ({"public_base_url": "https://img.example:8443"}, "img.example:8443", 200),
        ({"host": "0.0.0.0", "api_key": "k"}, "limner.lan:1337", 200),
        ({"host": "0.0.0.0", "api_key": "k", "allowed_hosts": "img.example"}, "limner.lan", 400),
        ({"host": "0.0.0.0", "insecure_public_bind": True}, "192.168.1.5:1337", 200),
        ({"host": "0.0.0.0", "insecure_public_bind": True}, "rebound.evil.com", 400),
        ({"host": "0.0.0.0", "insecure_public_bind": True, "allowed_hosts": "limner.lan"}, "limner.lan", 200),
    ],
)
async def test_settings_name_further_hosts(
    call: Callable[..., Awaitable[Called]], settings: dict[str, Any], host: str, status: int
) -> None:
    client = (await call(**settings)).client
    assert (await client.get("/health", headers={"host": host})).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:1337"}, 200),
        ({"origin": "https://localhost:1337"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "https://evil.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "file://localhost:1337"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
async def test_pages_of_other_sites_may_not_write(
    client: httpx2.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await client.post(PATH, json=BODY, headers=headers)
    assert answer.status_code == status
    if status == 403:
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("permission_error", "origin_not_allowed")
    for method in ("DELETE", "PUT"):
        other = await client.request(method, PATH, headers=headers)
        assert other.status_code == (403 if status == 403 else 405)


async def test_there_is_no_cors_by_default(client: httpx2.AsyncClient) -> None:
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    preflight = await client.options(PATH, headers=asked)
    assert preflight.status_code == 403
    read = await client.get("/v1/models", headers={"origin": "http://localhost:3000"})
    assert not [name for answer in (preflight, read) for name in answer.headers if name.startswith("access-control")]


async def test_allowed_origins_get_cors(call: Callable[..., Awaitable[Called]]) -> None:
    app = "https://app.example"
    client = (await call(allowed_origins=app)).client
    preflight = await client.options(PATH, headers={"origin": app, "access-control-request-method": "POST"})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == app
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    made = await client.post(PATH, json=BODY, headers={"origin": app, "sec-fetch-site": "cross-site"})
    assert made.status_code == 200
    assert made.headers["access-control-allow-origin"] == app
    assert "origin" in made.headers["vary"].lower()
    assert "access-control-allow-credentials" not in made.headers
    failed = await client.post(PATH, json={}, headers={"origin": app})
    assert (failed.status_code, failed.headers["access-control-allow-origin"]) == (400, app)
    assert (await client.post(PATH, json=BODY, headers={"origin": app + ".evil.com"})).status_code == 403
