"""The requests of tests/clients/replayed.py, sent as bytes, and the masks of every kind."""

import base64
import http.client
import io
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import PIL.Image
import PIL.ImageOps
import pytest

from tests.clients import schemas
from tests.clients.pictures import opened
from tests.clients.replayed import EDITS, FORM, GENERATIONS, JSON, Request, form, requests
from tests.processes import PATIENCE, Served


def drawn() -> bytes:
    """The picture that is edited: 256x256, no two columns alike."""
    file = io.BytesIO()
    PIL.Image.linear_gradient("L").rotate(90).convert("RGB").save(file, "PNG")
    return file.getvalue()


PNG = drawn()
ROWS = [
    pytest.param(row, id=row.id, marks=pytest.mark.shows(row.client, f"{row.id}: {row.needs}", version=row.seen))
    for row in requests(PNG, base64.b64encode(PNG).decode())
]


def post(url: str, row: Request) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=PATIENCE)
    try:
        connection.request("POST", row.path, row.body, {"Content-Type": row.content_type, **dict(row.headers)})
        answer = connection.getresponse()
        return answer.status, answer.headers["content-type"], answer.read()
    finally:
        connection.close()


def events(body: bytes) -> list[Any]:
    """The data of each event of a stream; its name must be the data's type."""
    found = []
    for frame in body.decode().split("\n\n"):
        lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
        if lines:
            name, data = (line.partition(": ")[2] for line in lines)
            found.append(json.loads(data))
            assert found[-1]["type"] == name
    return found


@pytest.mark.parametrize("row", ROWS)
def test_what_the_client_needs(server: Served, fetch: Callable[[str], bytes], row: Request) -> None:
    status, content_type, body = post(server.url, row)
    assert status == 200, body
    if row.events:
        assert content_type.startswith("text/event-stream")
        assert [event["type"] for event in events(body)] == list(row.events)
        schemas.check_events(events(body), row.events[-1].partition(".")[0], len(row.events) - 1)
        return
    answer = json.loads(body)
    schemas.check_images(answer)
    assert len(answer["data"]) == row.pictures
    for item in answer["data"]:
        assert set(row.has) <= set(item)
        assert not set(row.lacks) & set(item)
        got = [opened(item["b64_json"])] if "b64_json" in item else []
        got += [opened(fetch(item["url"]))] if "url" in item else []
        assert {image.size for image in got} == {row.size}


def masks() -> dict[str, PIL.Image.Image]:
    """Six ways to say "the left half"."""
    grey = PIL.Image.new("L", (256, 256), 0)
    grey.paste(255, (0, 0, 128, 256))
    alpha = PIL.Image.merge("RGBA", [PIL.Image.new("L", (256, 256), 90)] * 3 + [PIL.ImageOps.invert(grey)])
    return {
        "alpha": alpha,
        "L": grey,
        "RGB": grey.convert("RGB"),
        "1": grey.convert("1"),
        "opaque RGBA": grey.convert("RGBA"),
        "half the size": grey.resize((128, 128), PIL.Image.Resampling.NEAREST),
    }


def edit(url: str, mask: bytes) -> tuple[int, Any]:
    """Status and answer of an edit of the picture under a mask."""
    body = form(("prompt", b"a dog"), ("seed", b"7"), ("size", b"256x256"), ("response_format", b"b64_json"),
                ("@image", PNG), ("@mask", mask))  # fmt: skip
    row = Request(id="", client="", seen="", needs="", has=(), path=EDITS, content_type=FORM, body=body)
    status, _, answer = post(url, row)
    return status, json.loads(answer)


@pytest.mark.parametrize("kind", masks())
def test_every_kind_of_mask_repaints_the_same_half(server: Served, kind: str) -> None:
    file = io.BytesIO()
    masks()[kind].save(file, "PNG")
    status, answer = edit(server.url, file.getvalue())
    assert status == 200, answer
    before, after = opened(PNG).convert("RGB"), opened(answer["data"][0]["b64_json"]).convert("RGB")
    # A mask of another size may be soft for a few pixels at its edge.
    left, right = (0, 0, 124, 256), (132, 0, 256, 256)
    assert after.crop(right).tobytes() == before.crop(right).tobytes()
    assert after.crop(left).tobytes() != before.crop(left).tobytes()


def test_a_mask_that_is_no_picture_is_refused(server: Served) -> None:
    status, answer = edit(server.url, b"this is text")
    assert status == 400
    assert schemas.ErrorResponse.model_validate(answer).error.param == "mask"


WRONG = "invalid_request_error"
# What is sent, and what every client can rely on to come back: status, type, param, code.
REFUSED: list[tuple[str, str, bytes, tuple[int, str, str | None, str]]] = [
    (GENERATIONS, JSON, b"{", (400, WRONG, None, "invalid_json")),
    (GENERATIONS, JSON, b"", (400, WRONG, None, "invalid_json")),
    (GENERATIONS, JSON, b"{}", (400, WRONG, "prompt", "missing_required_parameter")),
    (GENERATIONS, JSON, b'{"prompt":""}', (400, WRONG, "prompt", "invalid_value")),
    (GENERATIONS, JSON, b'{"prompt":5}', (400, WRONG, "prompt", "invalid_type")),
    (GENERATIONS, JSON, b'{"prompt":"P","n":11}', (400, WRONG, "n", "integer_above_max_value")),
    (GENERATIONS, JSON, b'{"prompt":"P","n":-1}', (400, WRONG, "n", "integer_below_min_value")),
    *((GENERATIONS, JSON, b'{"prompt":"P","size":"%b"}' % size, (400, WRONG, "size", "invalid_value"))
      for size in (b"banana", b"0x0", b"99999x99999")),
    (GENERATIONS, JSON, b'{"prompt":"P","response_format":"gif"}', (400, WRONG, "response_format", "invalid_value")),
    (GENERATIONS, JSON, b'{"prompt":"P","model":"nope"}', (404, WRONG, "model", "model_not_found")),
    (GENERATIONS, JSON, b'{"prompt":"P","background":"transparent","output_format":"jpeg"}',
     (400, WRONG, "background", "invalid_value")),
    (GENERATIONS, JSON, b'{"prompt":"' + b"P" * 1_000_001 + b'"}', (413, WRONG, None, "request_too_large")),
    (GENERATIONS, JSON, b'{"prompt":"explode"}', (500, "server_error", None, "engine_failed")),
    (EDITS, FORM, form(("prompt", b"P"), ("image", b"text")), (400, WRONG, "image[0]", "invalid_type")),
    (EDITS, FORM, form(("prompt", b"P"), ("@image", b"no picture")), (400, WRONG, "image[0]", "invalid_image")),
    (EDITS, FORM, form(("prompt", b"P")), (400, WRONG, "image", "missing_required_parameter")),
    (EDITS, FORM, form(("@image", PNG)), (400, WRONG, "prompt", "missing_required_parameter")),
    (EDITS, JSON, b'{"prompt":"P","images":[{"file_id":"file-x"}]}', (400, WRONG, "image[0]", "file_not_found")),
    (EDITS, JSON, b'{"prompt":"P","images":[{"image_url":"https://x.example/"}]}',
     (400, WRONG, "image[0]", "invalid_image_url")),
    ("/v1/images/variations", FORM, form(("n", b"1")), (400, WRONG, "image", "missing_required_parameter")),
    ("/v1/models", JSON, b"{}", (405, WRONG, None, "method_not_allowed")),
    ("/v1/nope", JSON, b"{}", (404, WRONG, None, "not_found")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "kind", "body", "expected"), REFUSED)
def test_every_refusal_is_the_error_object(
    server: Served, path: str, kind: str, body: bytes, expected: tuple[int, str, str | None, str]
) -> None:
    row = Request(id="", client="", seen="", needs="", has=(), path=path, content_type=kind, body=body)
    status, content_type, answer = post(server.url, row)
    error = schemas.ErrorResponse.model_validate_json(answer).error
    assert content_type == "application/json"
    assert (status, error.type, error.param, error.code) == expected


@pytest.mark.parametrize("path", [GENERATIONS, EDITS])
def test_a_stream_that_fails_ends_with_the_error_event(server: Served, path: str) -> None:
    fields = [("prompt", b"explode"), ("stream", b"true"), ("partial_images", b"3")]
    body = form(*fields, ("@image", PNG))
    if path == GENERATIONS:
        body = b'{"prompt":"explode","stream":true,"partial_images":3}'
    kind = JSON if path == GENERATIONS else FORM
    row = Request(id="", client="", seen="", needs="", has=(), path=path, content_type=kind, body=body)
    status, _, answer = post(server.url, row)
    assert status == 200
    assert schemas.ErrorEvent.model_validate(events(answer)[-1]).error.code == "engine_failed"
