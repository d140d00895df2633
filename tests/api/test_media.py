"""GET and HEAD /media: pictures behind their URLs."""

import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest

from limner.store import FileStore
from tests.conftest import Called, until

PATH = "/v1/images/generations"


@pytest.fixture
async def url(client: httpx2.AsyncClient) -> str:
    answer = await client.post(PATH, json={"prompt": "a cat", "response_format": "url"})
    return answer.json()["data"][0]["url"]


async def test_a_picture_comes_with_its_type_and_cannot_be_anything_else(client: httpx2.AsyncClient, url: str) -> None:
    answer = await client.get(url)
    assert answer.status_code == 200
    assert answer.content.startswith(b"\x89PNG")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cross-origin-resource-policy"] == "same-site"
    assert answer.headers["cache-control"] == "private, max-age=3600, immutable"
    assert url.rpartition("/")[2] in answer.headers["content-disposition"]


async def test_head_is_get_without_the_body(server: str) -> None:
    made = httpx2.post(server + PATH, json={"prompt": "a cat", "response_format": "url"}).json()["data"][0]["url"]
    head, get = httpx2.head(made), httpx2.get(made)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length", "etag"):
        assert head.headers[name] == get.headers[name]


async def test_no_key_is_needed_and_a_foreign_one_does_no_harm(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(api_key="right")).client
    right = {"authorization": "Bearer right"}
    answer = await client.post(PATH, json={"prompt": "a cat", "response_format": "url"}, headers=right)
    url = answer.json()["data"][0]["url"]
    assert (await client.get(url)).status_code == 200
    assert (await client.get(url, headers={"authorization": "Bearer foreign"})).status_code == 200


async def test_an_etag_saves_the_second_transfer(client: httpx2.AsyncClient, url: str) -> None:
    etag = (await client.get(url)).headers["etag"]
    for wanted in (etag, f'"other", W/{etag}', "*"):
        again = await client.get(url, headers={"if-none-match": wanted})
        assert (again.status_code, again.content) == (304, b"")
    assert (await client.get(url, headers={"if-none-match": '"other"'})).status_code == 200


async def test_one_range(client: httpx2.AsyncClient, url: str) -> None:
    whole = (await client.get(url)).content

    async def part(wanted: str) -> httpx2.Response:
        return await client.get(url, headers={"range": wanted})

    first = await part("bytes=0-9")
    assert (first.status_code, first.content) == (206, whole[:10])
    assert first.headers["content-range"] == f"bytes 0-9/{len(whole)}"
    assert (await part("bytes=10-")).content == whole[10:]
    assert (await part("bytes=-5")).content == whole[-5:]
    for odd in ("bytes=0-1,2-3", "bytes=5-2", "bytes=-", "lines=1-2", "bytes=a-b"):
        assert ((await part(odd)).status_code, (await part(odd)).content) == (200, whole)
    etag = (await client.get(url)).headers["etag"]
    for given, status in ((etag, 206), ('"other"', 200), ("Tue, 24 Nov 2026 00:00:00 GMT", 200)):
        answer = await client.get(url, headers={"range": "bytes=0-9", "if-range": given})
        assert answer.status_code == status
    beyond = await part("bytes=99999999-")
    assert beyond.status_code == 416
    assert beyond.json()["error"]["code"] == "range_not_satisfiable"
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"


async def test_old_pictures_are_gone(call: Callable[..., Awaitable[Called]], tmp_path: Path) -> None:
    store = FileStore(tmp_path / "pictures")
    client = (await call(store=store, picture_ttl=3600)).client
    answer = await client.post(PATH, json={"prompt": "a cat", "n": 2, "response_format": "url"})
    fresh, old = (picture["url"] for picture in answer.json()["data"])
    then = time.time() - 3601
    os.utime(store.folder / old.rpartition("/")[2], (then, then))
    assert (await client.get(fresh)).status_code == 200
    gone = await client.get(old)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_a_starting_server_sweeps_what_is_old(serve: Callable[..., object], tmp_path: Path) -> None:
    store = FileStore(tmp_path / "pictures")
    old, fresh = store.put(b"old", "png"), store.put(b"fresh", "png")
    then = time.time() - 3601
    os.utime(store.folder / old, (then, then))
    serve(store=store, picture_ttl=3600)
    until(lambda: store.names() == [fresh])


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..%2f..%2fetc%2fpasswd", "a.png", "%00", ".aaaaaaaaaaaaaaaaaaaaaaaaaa.png.part", "%ff"],
)
async def test_only_names_of_pictures_are_looked_up(client: httpx2.AsyncClient, name: str) -> None:
    answer = await client.get("/media/" + name)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
