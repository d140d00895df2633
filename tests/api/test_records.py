"""GET and DELETE /v1/images/{id}: a kept picture's recipe and its end, behind the key where there is one."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from limner.store import FileStore
from tests.conftest import Called

PATH = "/v1/images/generations"


async def kept(client: httpx2.AsyncClient, **body: Any) -> str:
    """The name in the URL of a new picture."""
    wish = {"prompt": "a cat", "size": "64x64", "seed": 7, "response_format": "url"}
    answer = await client.post(PATH, json=wish | body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"][0]["url"].rpartition("/")[2]


@pytest.mark.parametrize("path", ["/v1/images/", "/images/"])
async def test_a_picture_tells_what_made_it(client: httpx2.AsyncClient, path: str) -> None:
    name = await kept(client)
    by_name = await client.get(path + name)
    by_id = await client.get(path + name.partition(".")[0])
    assert by_name.status_code == 200
    told = by_name.json()
    assert told == by_id.json()
    assert told["id"] == name.partition(".")[0]
    assert (told["object"], told["state"], told["output_format"], told["size"]) == (
        "image",
        "succeeded",
        "png",
        "64x64",
    )
    assert (told["recipe"]["prompt"], told["recipe"]["seed"], told["recipe"]["model"]) == ("a cat", 7, "limner-mini")
    assert told["parameters"].startswith("a cat\nSteps: 4")
    assert told["expires_at"] > told["created"] > time.time() - 60
    file = await client.get(told["url"])
    assert told["bytes"] == len(file.content)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
async def test_formats_without_a_recipe_tell_its_text(client: httpx2.AsyncClient, kind: str) -> None:
    told = (await client.get("/v1/images/" + await kept(client, output_format=kind, prompt="a “cat”"))).json()
    assert (told["output_format"], told["recipe"]) == (kind, None)
    assert told["parameters"].startswith("a “cat”\nSteps: 4")


async def test_a_picture_that_is_deleted_is_gone(client: httpx2.AsyncClient) -> None:
    name, other = await kept(client), await kept(client)
    stem = name.partition(".")[0]
    answer = await client.delete("/v1/images/" + stem)
    assert answer.json() == {"id": stem, "object": "image", "deleted": True}
    for path in ("/v1/images/" + stem, "/v1/images/" + name, "/media/" + name):
        assert (await client.get(path)).json()["error"]["code"] == "not_found"
    assert (await client.delete("/v1/images/" + name)).status_code == 404
    assert (await client.get("/media/" + other)).status_code == 200


@pytest.mark.parametrize("id", ["nope", "a" * 26, "a" * 26 + ".png", "..%2F..%2Fetc%2Fpasswd", ".png", "a.b.c"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_no_such_picture(client: httpx2.AsyncClient, id: str, method: str) -> None:
    answer = await client.request(method, "/v1/images/" + id)
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("word", ["generations", "edits", "variations"])
async def test_the_other_routes_are_no_pictures(client: httpx2.AsyncClient, word: str) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.request(method, "/v1/images/" + word)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_both_need_the_key_where_there_is_one(call: Callable[..., Awaitable[Called]]) -> None:
    called = await call(api_key="k")
    called.client.headers["authorization"] = "Bearer k"
    name = await kept(called.client)
    for method in ("GET", "DELETE"):
        answer = await called.client.request(method, "/v1/images/" + name, headers={"authorization": "Bearer wrong"})
        assert answer.status_code == 401
    assert called.store.names() == [name]
    assert (await called.client.delete("/v1/images/" + name)).status_code == 200
    assert called.store.names() == []


async def test_an_old_picture_is_not_there(call: Callable[..., Awaitable[Called]], tmp_path: Path) -> None:
    client = (await call(store=FileStore(tmp_path), picture_ttl=3600)).client
    name = await kept(client)
    long_ago = time.time() - 3601
    os.utime(tmp_path / name, (long_ago, long_ago))
    assert (await client.get("/v1/images/" + name)).status_code == 404


async def test_a_damaged_file_is_told(call: Callable[..., Awaitable[Called]], tmp_path: Path) -> None:
    client = (await call(store=FileStore(tmp_path))).client
    name = await kept(client)
    (tmp_path / name).write_bytes(b"not a picture")
    answer = await client.get("/v1/images/" + name)
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "storage_failed"
    # It would be as damaged the next time.
    assert answer.headers["x-should-retry"] == "false"
