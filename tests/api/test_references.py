"""Pictures that an edit names instead of holding them: by URL where the setting allows it, and by the id of a file."""

import io
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler

import httpx2
import openai
import PIL.Image
import pytest

from tests.conftest import Called, Served, until
from tests.sending import EDITS, GENERATIONS, LEFT, coloured, file, form, half
from tests.sites import site

FILES = "/v1/files"
RED = b"\xff\x00\x00\xff"


async def edited(called: Called, body: dict) -> httpx2.Response:
    return await called.client.post(EDITS, json={"prompt": "P", **body})


async def uploaded(client: httpx2.AsyncClient, data: bytes, purpose: str = "vision") -> httpx2.Response:
    return await client.post(FILES, **form([("purpose", purpose), ("file", data)]))


async def test_a_url_is_fetched_where_the_setting_allows_it(call: Callable[..., Awaitable[Called]]) -> None:
    called = await call(fetch_hosts="127.0.0.1")
    with site({"/a.png": (200, {}, coloured()), "/mask.png": (200, {}, half())}) as there:
        body = {"images": [{"image_url": f"{there.url}/a.png"}], "mask": {"image_url": f"{there.url}/mask.png"}}
        answer = await edited(called, body)
    assert answer.status_code == 200, answer.text
    assert called.engine.asked[-1].images[0].pixels.startswith(RED)
    assert called.engine.asked[-1].mask == LEFT


async def test_what_is_fetched_goes_through_the_decoder_like_all_pictures(
    call: Callable[..., Awaitable[Called]],
) -> None:
    called = await call(fetch_hosts="127.0.0.1")
    secret = b"root:x:0:0:"
    with site({"/passwd": (200, {"content-type": "image/png"}, secret)}) as there:
        answer = await edited(called, {"images": [{"image_url": f"{there.url}/passwd"}]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "image[0]", "invalid_image")
    assert "root" not in answer.text


async def test_a_refused_url_names_its_field_and_nothing_is_drawn(call: Callable[..., Awaitable[Called]]) -> None:
    called = await call(fetch_hosts="*")
    with site({"/a.png": (200, {}, coloured())}) as there:
        url = f"{there.url}/a.png"
        answer = await edited(called, {"images": [{"image_url": url}]})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image[0]")
        answer = await called.client.post(EDITS, **form([("prompt", "P"), ("image", coloured()), ("image_url", url)]))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "image[1]")
        assert there.connections == 0
    assert not called.engine.asked


def test_whoever_hangs_up_ends_the_fetching(serve: Callable[..., Served]) -> None:
    served = serve(fetch_hosts="127.0.0.1")
    ended = threading.Event()

    def dripping(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                handler.wfile.write(b"x")
                time.sleep(0.01)
        except OSError:
            ended.set()

    with site({"/a.png": dripping}) as there:
        body = json.dumps({"prompt": "P", "images": [{"image_url": f"{there.url}/a.png"}]}).encode()
        head = f"POST {EDITS} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            until(lambda: there.asked)
        # Long before the fetcher's own patience is over.
        assert ended.wait(10)
        until(lambda: served.process.life.in_flight == 0)


async def test_forms_may_name_urls_too(call: Callable[..., Awaitable[Called]]) -> None:
    called = await call(fetch_hosts="127.0.0.1")
    with site({"/a.png": (200, {}, coloured())}) as there:
        for name in ("url", "url[]", "image_url", "image_urls"):
            answer = await called.client.post(EDITS, **form([("prompt", "P"), (name, f"{there.url}/a.png")]))
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("spelling", ["file-{id}", "{id}", "{name}"])
async def test_a_picture_that_was_drawn_here_is_a_file(called: Called, spelling: str) -> None:
    wish = {"prompt": "a cat", "size": "64x64", "response_format": "url", "output_format": "jpeg"}
    url = (await called.client.post(GENERATIONS, json=wish)).json()["data"][0]["url"]
    name = url.rpartition("/")[2]
    assert name.endswith(".jpg")
    file_id = spelling.format(id=name.partition(".")[0], name=name)
    answer = await edited(called, {"images": [{"file_id": file_id}]})
    assert answer.status_code == 200, answer.text
    assert called.engine.asked[-1].images[0].width == 64


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_a_file_is_sent_once_and_edited_by_its_id(called: Called, kind: str) -> None:
    data = file(PIL.Image.new("RGB", (96, 80), "red"), kind)
    told = (await uploaded(called.client, data)).json()
    assert told["id"].startswith("file-")
    assert (told["object"], told["bytes"], told["purpose"], told["status"]) == (
        "file",
        len(data),
        "vision",
        "processed",
    )
    assert told["expires_at"] > told["created_at"]
    one = f"{FILES}/{told['id']}"
    assert (await called.client.get(one)).json() == told
    content = await called.client.get(f"{one}/content")
    assert (content.content, content.headers["content-type"]) == (data, f"image/{kind.lower()}")
    mask = (await uploaded(called.client, half())).json()["id"]
    answer = await edited(called, {"images": [{"file_id": told["id"]}] * 2, "mask": {"file_id": mask}})
    assert answer.status_code == 200, answer.text
    assert (len(called.engine.asked[-1].images), called.engine.asked[-1].mask) == (2, LEFT)
    gone = await called.client.delete(one)
    assert gone.json() == {"id": told["id"], "object": "file", "deleted": True}
    for path in (one, f"{one}/content"):
        assert (await called.client.get(path)).status_code == 404
    answer = await edited(called, {"images": [{"file_id": told["id"]}]})
    assert answer.json()["error"]["code"] == "file_not_found"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ([("purpose", "vision")], "file", "missing_required_parameter"),
        ([("file", b"x")], "purpose", "missing_required_parameter"),
        ([("purpose", "fine-tune"), ("file", b"x")], "purpose", "invalid_value"),
        ([("purpose", "vision"), ("file", b"no picture")], "file", "invalid_image"),
        ([("purpose", "vision"), ("file", "text")], "file", "invalid_type"),
        ([("purpose", "vision"), ("purpose", "vision"), ("file", b"x")], None, "invalid_multipart"),
    ],
)
async def test_files_that_are_not_kept(called: Called, fields: list, param: str | None, code: str) -> None:
    answer = await called.client.post(FILES, **form(fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert called.store.names() == []


async def test_files_need_the_key_and_are_listed_to_nobody(call: Callable[..., Awaitable[Called]]) -> None:
    client = (await call(api_key="k")).client
    assert (await uploaded(client, coloured())).status_code == 401
    client.headers["authorization"] = "Bearer k"
    told = (await uploaded(client, coloured())).json()
    assert (await client.get(FILES)).status_code == 405
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        wrong = {"authorization": "Bearer wrong"}
        answer = await client.request(method, f"{FILES}/{told['id']}{path}", headers=wrong)
        assert answer.status_code == 401


async def test_another_field_of_a_file_is_named(called: Called) -> None:
    fields = [("purpose", "vision"), ("file", coloured()), ("expires_after[seconds]", "3600")]
    answer = await called.client.post(FILES, **form(fields))
    assert answer.headers["x-limner-ignored"] == "expires_after[seconds]"


def test_the_openai_clients_way_from_a_file_to_an_edit(serve: Callable[..., Served]) -> None:
    served = serve()
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="local", max_retries=0) as client:
        sent = client.files.create(file=("a.png", io.BytesIO(coloured())), purpose="vision")
        assert client.files.retrieve(sent.id).bytes == len(coloured())
        body = {"model": "gpt-image-1", "prompt": "P", "images": [{"file_id": sent.id}]}
        made = client.post("/images/edits", body=body, cast_to=httpx2.Response)
        assert json.loads(made.text)["data"][0]["b64_json"]
        assert client.files.content(sent.id).content == coloured()
        assert client.files.delete(sent.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(sent.id)
