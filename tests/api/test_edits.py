"""POST /v1/images/edits and /v1/images/variations: bodies as clients send them, and what they get."""

import base64
import io
import json

import PIL.Image
import pytest

from limner.types import ImageRequest
from tests.conftest import Called
from tests.sending import EDITS, HEIGHT, LEFT, VARIATIONS, WIDTH, coloured, data_url, file, form, half, refused


async def edited(called: Called, fields: list[tuple[str, bytes | str]], path: str = EDITS) -> tuple[dict, ImageRequest]:
    """The answer, and what the engine was asked for."""
    answer = await called.client.post(path, **form(fields))
    assert answer.status_code == 200, answer.text
    return answer.json(), called.engine.asked[-1]


def kinds(answer: dict) -> set[str]:
    return {key for key in answer["data"][0] if key in ("url", "b64_json")}


async def test_openai_python_with_one_file(called: Called) -> None:
    fields = [("model", "gpt-image-1"), ("prompt", "P"), ("image", coloured()), ("n", "1")]
    answer, asked = await edited(called, fields)
    assert kinds(answer) == {"b64_json"}
    assert (answer["size"], len(asked.images), asked.mask) == (f"{WIDTH}x{HEIGHT}", 1, b"")
    assert asked.images[0].pixels == b"\xff\x00\x00\xff" * WIDTH * HEIGHT
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
    assert picture.size == (WIDTH, HEIGHT)


async def test_openai_python_with_a_list_as_raw_bytes(called: Called) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n'
        b'--B\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nP\r\n'
        b'--B\r\nContent-Disposition: form-data; name="image[]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + coloured()
        + b"\r\n--B--\r\n"
    )
    headers = {"authorization": "Bearer sk-x", "content-type": "multipart/form-data; boundary=B"}
    answer = await called.client.post(EDITS, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert kinds(answer.json()) == {"b64_json"}


async def test_openai_python_streamed(called: Called) -> None:
    fields = [("model", "gpt-image-1"), ("prompt", "P"), ("image[]", coloured())]
    answer = await called.client.post(EDITS, **form([*fields, ("stream", "true"), ("partial_images", "2")]))
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert events == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]


async def test_ai_sdk_with_an_array_of_one(called: Called) -> None:
    fields = [("model", "flux"), ("prompt", "P"), ("image", coloured()), ("n", "1"), ("size", "512x512")]
    answer, asked = await edited(called, fields)
    assert "b64_json" in kinds(answer)
    assert (answer["size"], asked.width) == ("512x512", 512)


async def test_open_webui_with_two_files(called: Called) -> None:
    fields = [("model", "flux"), ("prompt", "P"), ("n", "1"), ("size", "512x512"), ("response_format", "b64_json")]
    answer, asked = await edited(called, [*fields, ("image[]", coloured()), ("image[]", coloured("blue"))])
    assert kinds(answer) == {"b64_json"}
    assert [image.pixels[:4] for image in asked.images] == [b"\xff\x00\x00\xff", b"\x00\x00\xff\xff"]


async def test_json_with_data_urls(called: Called) -> None:
    body = {
        "model": "gpt-image-1.5",
        "prompt": "P",
        "images": [{"image_url": data_url(coloured())}],
        "mask": {"image_url": data_url(half())},
    }
    answer = await called.client.post(EDITS, json=body)
    assert answer.status_code == 200, answer.text
    assert kinds(answer.json()) == {"b64_json"}
    assert called.engine.asked[-1].mask == LEFT


async def test_both_spellings_at_once_up_to_sixteen_files(called: Called) -> None:
    fields = [("prompt", "P"), ("image", coloured())]
    _, asked = await edited(called, [*fields, *[("image[]", coloured("blue"))] * 15])
    assert len(asked.images) == 16
    error = await refused(called.client, [*fields, *[("image[]", coloured("blue"))] * 16])
    assert (error["param"], error["code"]) == ("image", "array_above_max_length")


async def test_empty_text_is_absent_and_no_pictures_mean_one(called: Called) -> None:
    empty = [("model", ""), ("size", ""), ("n", "0"), ("response_format", ""), ("mask", b""), ("stream", "")]
    answer, _ = await edited(called, [("prompt", "P"), ("image", coloured()), *empty])
    assert kinds(answer) == {"url", "b64_json"}
    assert len(answer["data"]) == 1


@pytest.mark.parametrize("text", ["false", "0", "False"])
async def test_booleans_as_text(called: Called, text: str) -> None:
    answer, _ = await edited(called, [("prompt", "P"), ("image", coloured()), ("stream", text)])
    assert answer["data"]


@pytest.mark.parametrize(
    ("fields", "strength"),
    [
        ([], 0.8),
        ([("input_fidelity", "low")], 0.8),
        ([("input_fidelity", "high")], 0.5),
        ([("strength", "0.3")], 0.3),
        ([("denoising_strength", "1")], 1.0),
        ([("strength", "0"), ("input_fidelity", "high")], 0.0),
    ],
)
async def test_strength_and_fidelity(called: Called, fields: list, strength: float) -> None:
    _, asked = await edited(called, [("prompt", "P"), ("image", coloured()), *fields])
    assert asked.strength == strength


@pytest.mark.parametrize(
    "mask",
    [half(), half("L"), half("RGB"), half("1"), half("opaque RGBA"), half(size=(WIDTH // 2, HEIGHT // 2))],
    ids=["alpha", "L", "RGB", "1-bit", "opaque", "half size"],
)
@pytest.mark.parametrize("name", ["mask", "mask[]"])
async def test_every_kind_of_mask_marks_the_same_half(called: Called, mask: bytes, name: str) -> None:
    answer, asked = await edited(called, [("prompt", "P"), ("image", coloured()), (name, mask)])
    assert asked.mask == LEFT
    assert asked.strength == 1.0
    drawn = PIL.Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
    kept = drawn.crop((WIDTH // 2, 0, WIDTH, HEIGHT))
    assert kept.getcolors() == [(WIDTH // 2 * HEIGHT, (255, 0, 0))]


async def test_a_transparent_picture_is_its_own_mask_under_the_names_that_had_it_so(called: Called) -> None:
    for model, mask in (("dall-e-2", LEFT), ("gpt-image-1", b"")):
        _, asked = await edited(called, [("model", model), ("prompt", "P"), ("image", half())])
        assert asked.mask == mask
    _, asked = await edited(called, [("model", "dall-e-2"), ("prompt", "P"), ("image", coloured())])
    assert asked.mask == b""


async def test_masks_that_cannot_be_right(called: Called) -> None:
    fields = [("prompt", "P"), ("image", coloured())]
    error = await refused(called.client, [*fields, ("mask", b"no picture")])
    assert (error["param"], error["code"]) == ("mask", "invalid_image")
    assert "could not decode image" in error["message"]
    error = await refused(called.client, [*fields, ("mask", file(PIL.Image.new("L", (8, 8), 0)))])
    assert error["param"] == "mask"
    assert "nothing to repaint" in error["message"]
    assert (await refused(called.client, [*fields, ("mask", half()), ("mask", half())]))["param"] == "mask"


async def test_the_size_is_the_pictures_own_within_the_models_bounds(called: Called) -> None:
    for given, made in (
        ((200, 100), "200x100"),
        ((32, 16), "128x64"),
        ((2500, 500), "2048x410"),
        ((1000, 4), "2048x64"),
    ):
        answer, _ = await edited(called, [("prompt", "P"), ("image", coloured(size=given)), ("size", "auto")])
        assert answer["size"] == made


async def test_a_photograph_is_turned_as_its_exif_says(called: Called) -> None:
    picture = PIL.Image.new("RGB", (64, 128), "red")
    picture.paste("blue", (0, 64, 64, 128))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    sent = file(picture, "JPEG", exif=exif, quality=100)
    answer, asked = await edited(called, [("prompt", "P"), ("image", sent)])
    assert answer["size"] == "128x64"
    turned = PIL.Image.frombytes("RGBA", (128, 64), asked.images[0].pixels)
    left, right = turned.getpixel((10, 30)), turned.getpixel((118, 30))
    assert left[2] > 200 > right[2]


async def test_variations_need_no_prompt(called: Called) -> None:
    answer, asked = await edited(called, [("image", coloured()), ("n", "2"), ("size", "256x256")], VARIATIONS)
    assert (len(answer["data"]), asked.prompt, asked.strength) == (2, "", 0.8)
    error = await refused(called.client, [("image", coloured()), ("mask", half())], VARIATIONS)
    assert error["param"] == "mask"
    assert (await refused(called.client, [("n", "1")], VARIATIONS))["param"] == "image"


@pytest.mark.parametrize(
    "path",
    ["/v1/images/edits/", "/images/edits", "/images/edits/", "/openai/deployments/flux/images/edits?api-version=1",
     "/v1/images/variations/", "/images/variations", "/images/variations/"],
)  # fmt: skip
async def test_every_spelling_of_the_routes(called: Called, path: str) -> None:
    answer = await called.client.post(path, **form([("prompt", "P"), ("image", coloured())]))
    assert answer.status_code == 200, answer.text


async def test_the_recipe_says_that_there_was_a_picture_and_does_not_hold_it(called: Called) -> None:
    answer, _ = await edited(called, [("prompt", "P"), ("image", coloured()), ("mask", half())])
    picture = PIL.Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
    told = json.loads(picture.info["limner"])
    assert (told["sources"], told["masked"], told["strength"]) == (1, True, 1.0)
    assert "images" not in told


async def test_usage_counts_the_pictures(called: Called) -> None:
    answer, _ = await edited(called, [("prompt", "P"), ("image", coloured())])
    assert answer["usage"]["input_tokens_details"] == {"text_tokens": 1, "image_tokens": 6 * 5}
    assert answer["usage"]["input_tokens"] == 31
