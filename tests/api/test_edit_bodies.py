"""Bodies of edits that cannot be right: each is a 400 that names what is wrong."""

from collections.abc import Callable

import httpx2
import pytest

from tests.conftest import Called, Served
from tests.sending import EDITS, coloured, form, half, refused


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ([("strength", "1.5")], "strength", "decimal_above_max_value"),
        ([("strength", "-1")], "strength", "decimal_below_min_value"),
        ([("strength", "nan")], "strength", "invalid_type"),
        ([("input_fidelity", "medium")], "input_fidelity", "invalid_value"),
        ([("n", "11")], "n", "integer_above_max_value"),
        ([("size", "banana")], "size", "invalid_value"),
        ([("prompt", "Q")], "prompt", "invalid_multipart"),
    ],
)
async def test_wrong_values_name_their_field(called: Called, fields: list, param: str, code: str) -> None:
    error = await refused(called.client, [("prompt", "P"), ("image", coloured()), *fields])
    assert (error["param"], error["code"]) == (param, code)


async def test_what_is_missing_is_named(called: Called) -> None:
    error = await refused(called.client, [("image", coloured())])
    assert (error["param"], error["code"]) == ("prompt", "missing_required_parameter")
    error = await refused(called.client, [("prompt", "P")])
    assert (error["param"], error["code"]) == ("image", "missing_required_parameter")
    error = await refused(called.client, [("prompt", "P"), ("mask", half())])
    assert error["param"] == "image"


@pytest.mark.parametrize(("name", "param"), [("image", "image[0]"), ("image[]", "image[0]"), ("mask", "mask")])
async def test_text_instead_of_a_file(called: Called, name: str, param: str) -> None:
    picture = [("image", coloured())] if name == "mask" else []
    error = await refused(called.client, [("prompt", "P"), *picture, (name, "https://example.org/a.png")])
    assert error["code"] == "invalid_type"
    assert error["message"] == f"Invalid type for '{param}': expected a file, but got a string instead."
    assert error["param"] == param


@pytest.mark.parametrize(
    ("reference", "code", "told"),
    [
        ({"image_url": "http://example.org/a.png"}, "invalid_image_url", "LIMNER_FETCH_HOSTS"),
        ({"image_url": "HTTPS://example.org/a.png"}, "invalid_image_url", "LIMNER_FETCH_HOSTS"),
        ({"image_url": "file:///etc/passwd"}, "invalid_image_url", "data:image"),
        ({"image_url": "data:image/png;base64,@@"}, "invalid_base64_image", "base64"),
        ({"image_url": 5}, "invalid_type", "image_url"),
        ({"file_id": "file-1"}, "file_not_found", "file_id"),
        ({"file_id": "../secret.png"}, "file_not_found", "file_id"),
        ({"file_id": 5}, "invalid_type", "file_id"),
        ({"file_id": ""}, "file_not_found", "file_id"),
        ({"file_id": "file-1", "image_url": "data:image/png;base64,AA"}, "invalid_value", "both"),
        (5, "invalid_type", "image_url"),
        ({}, "invalid_type", "image_url"),
    ],
)
async def test_references_that_are_not_taken(called: Called, reference: object, code: str, told: str) -> None:
    answer = await called.client.post(EDITS, json={"prompt": "P", "images": [reference]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, "image[0]", code)
    assert told in error["message"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=B"),
        (b"--B\r\n", "multipart/form-data; boundary=B"),
        (b"garbage", "multipart/form-data; boundary=B"),
        (b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nP', "multipart/form-data; boundary=B"),
        (b'--B\r\nContent-Disposition: form-data\r\n\r\nP\r\n--B--\r\n', "multipart/form-data; boundary=B"),
        (b"--B\r\n" + b"X: y\r\n" * 20 + b"\r\nP\r\n--B--\r\n", "multipart/form-data; boundary=B"),
        (b"--B\r\nX: " + b"y" * 9000 + b"\r\n\r\nP\r\n--B--\r\n", "multipart/form-data; boundary=B"),
        (b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\nP\r\n' * 101 + b"--B--\r\n",
         "multipart/form-data; boundary=B"),
        (b"--B--\r\n", "multipart/form-data; boundary=" + "B" * 5000),
    ],
)  # fmt: skip
async def test_forms_that_are_none(called: Called, body: bytes, content_type: str) -> None:
    answer = await called.client.post(EDITS, content=body, headers={"content-type": content_type})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_multipart")


async def test_another_kind_of_body(called: Called) -> None:
    answer = await called.client.post(EDITS, content=b"x", headers={"content-type": "image/png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_media_type")


def test_uploads_have_a_limit_of_their_own(serve: Callable[..., Served]) -> None:
    served = serve(max_body=2000, max_upload=5000)
    with httpx2.Client(base_url=served.url) as client:
        sent = form([("prompt", "P" * 3000), ("image", coloured())])
        assert client.post(EDITS, **sent).status_code == 200
        answer = client.post(EDITS, **form([("prompt", "P" * 6000), ("image", coloured())]))
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
        assert client.post("/v1/images/generations", json={"prompt": "P" * 3000}).status_code == 413
