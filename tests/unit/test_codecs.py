"""Files and the recipes in them: what is written is read back, by us and by others."""

import io
import json
from typing import Any

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL.PngImagePlugin import PngInfo

from limner import codecs
from limner.errors import EngineError, InvalidRequestError
from limner.types import MAX_SEED, RAW_RGB, RAW_RGBA, Image, ImageRequest
from tests.fakes import CARD

MARK = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def drawn(request: ImageRequest, index: int = 0) -> Image:
    row = bytes(range(256)) * 3
    data = (row * (request.width * request.height // len(row) * 3 + 3))[: request.width * request.height * 3]
    size = {"width": request.width, "height": request.height}
    return Image(data=data, mime=RAW_RGB, **size, seed=request.seed_of(index), index=index)


def encoded(request: ImageRequest, *, index: int = 0, metadata: str = "full") -> bytes:
    image = drawn(request, index)
    made = codecs.recipe(request, image.seed, weights=CARD.weights, version="1.2.3")
    return codecs.encode(image, request, made, metadata=metadata).data


def info(data: bytes) -> dict[str, Any]:
    with PIL.Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return dict(picture.info)


@given(
    prompt=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(str.strip),
    negative=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    seed=st.integers(0, MAX_SEED),
    guidance=st.floats(0, 20),
    quality=st.sampled_from(["low", "medium", "high", "auto", "hd"]),
    index=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_a_recipe_makes_the_same_request_again(
    prompt: str, negative: str, seed: int, guidance: float, quality: str, index: int
) -> None:
    wishes = {"negative_prompt": negative, "seed": seed, "guidance_scale": guidance, "quality": quality}
    request = CARD.request(prompt, n=4, size="64x80", **wishes)
    made = codecs.read_recipe(encoded(request, index=index))
    assert (made["limner"], made["weights"], made["model"]) == ("1.2.3", CARD.weights, "limner-mini")
    told = codecs.wishes_of(made)
    again = CARD.request(told.pop("prompt"), **told)
    assert (again.n, again.seed) == (1, request.seed_of(index))
    assert encoded(again) == encoded(request, index=index)


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_the_pixels_the_size_and_the_bytes(output_format: str) -> None:
    request = CARD.request("a cat", size="96x64", seed=1, output_format=output_format)
    data = encoded(request)
    assert data == encoded(request), "the same input gives the same bytes"
    with PIL.Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == (output_format.upper(), (96, 64))
        if output_format == "png":
            assert picture.tobytes() == drawn(request).data


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_every_format_is_marked_and_carries_the_parameters_that_others_read(output_format: str) -> None:
    request = CARD.request("eine Katze 🐱", size="64x64", seed=5, negative_prompt="dog", output_format=output_format)
    data = encoded(request)
    assert MARK.encode() in data
    if output_format == "png":
        text = info(data)["parameters"]
    else:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            comment = picture.getexif().get_ifd(0x8769)[0x9286]
        assert comment.startswith(b"UNICODE\0")
        text = comment[8:].decode("utf-16-be")
    first, second, facts = text.split("\n")
    assert (first, second) == ("eine Katze 🐱", "Negative prompt: dog")
    for fact in ("Steps: 4", "Seed: 5", "Size: 64x64", "Model: limner-mini", "Model hash: 0123456789ab"):
        assert fact in facts.split(", ")


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
def test_prompts_can_be_kept_out(output_format: str) -> None:
    wishes = {"size": "64x64", "negative_prompt": "hidden", "output_format": output_format}
    request = CARD.request("secret", **wishes)
    plain = encoded(request, metadata="provenance")
    for words in ("secret", "hidden"):
        assert words.encode() not in plain
        assert words.encode("utf-16-be") not in plain
    assert MARK.encode() in plain
    bare = encoded(request, metadata="none")
    assert MARK.encode() not in bare
    assert b"limner" not in bare.lower()
    for data in (plain, bare):
        if output_format == "png":
            with pytest.raises(InvalidRequestError, match="no recipe"):
                codecs.read_recipe(data)


def test_compression_is_heeded() -> None:
    for output_format in ("jpeg", "webp"):
        sizes = [
            len(encoded(CARD.request("a", output_format=output_format, output_compression=c, seed=1))) for c in (10, 95)
        ]
        assert sizes[0] < sizes[1]


def with_text(text: str) -> bytes:
    buffer, told = io.BytesIO(), PngInfo()
    told.add_itxt("limner", text)
    PIL.Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=told)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        with_text("{"),
        with_text("[]"),
        with_text("null"),
        with_text('{"prompt": ""}'),
    ],
)
def test_what_carries_no_recipe_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        codecs.read_recipe(data)
    assert caught.value.param == "picture"


@pytest.mark.parametrize(
    "damage", [{"seed": None}, {"seed": "7"}, {"width": "x"}, {"prompt": 5}, {"guidance_scale": []}]
)
def test_a_recipe_that_was_edited_wrongly_is_refused_by_name(damage: dict[str, Any]) -> None:
    made = codecs.read_recipe(encoded(CARD.request("a cat", size="64x64")))
    text = json.dumps({**made, **damage})
    (name,) = damage
    with pytest.raises(InvalidRequestError, match=name):
        codecs.wishes_of(codecs.read_recipe(with_text(text)))


def transparent(request: ImageRequest) -> Image:
    alpha = bytes(range(256)) * (request.width * request.height // 256)
    data = b"".join(bytes((200, 40, 90, value)) for value in alpha)
    size = {"width": request.width, "height": request.height}
    return Image(data=data, mime=RAW_RGBA, **size, seed=request.seed, index=0)


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_alpha_comes_back_exactly(kind: str) -> None:
    request = CARD.request("x", size="64x64", output_format=kind)
    image = transparent(request)
    made = codecs.recipe(request, image.seed, weights=CARD.weights, version="1.2.3")
    with PIL.Image.open(io.BytesIO(codecs.encode(image, request, made).data)) as picture:
        assert picture.mode == "RGBA"
        assert picture.getchannel("A").tobytes() == bytes(range(256)) * 16
        if kind == "png":
            assert picture.tobytes() == image.data


def test_a_transparent_jpeg_is_refused_and_not_painted_over() -> None:
    request = CARD.request("x", size="64x64", output_format="jpeg")
    with pytest.raises(EngineError, match="png or webp"):
        codecs.encode(transparent(request), request, None)
