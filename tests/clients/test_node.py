"""The Node packages, in a process of their own, against `limner serve`."""

from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from tests.clients import schemas
from tests.clients.pictures import gave, opened, threw

OPENAI = "openai (Node)"
AI_OPENAI = "AI SDK, @ai-sdk/openai"
AI_COMPATIBLE = "AI SDK, @ai-sdk/openai-compatible"


@pytest.fixture
def openai(told: Callable) -> dict:
    return told("openai.mjs")


@pytest.fixture
def ai(told: Callable) -> dict:
    return told("ai.mjs")


@pytest.mark.shows(OPENAI, "generate: base64 for gpt-image-1, an address for `url`, and for null")
def test_generate(openai: dict, fetch: Callable[[str], bytes]) -> None:
    made = schemas.check_images(gave(openai, "generate"))
    assert opened(made.data[0].b64_json).size == (256, 256)
    for name in ("url", "unset"):
        (item,) = gave(openai, name)["data"]
        assert "b64_json" not in item
        assert opened(fetch(item["url"])).size == (256, 256)


@pytest.mark.shows(OPENAI, "generate, streamed with two partial pictures")
def test_stream(openai: dict) -> None:
    assert opened(schemas.check_events(gave(openai, "stream"), "image_generation", 2)).size == (256, 256)


@pytest.mark.shows(OPENAI, "edit: one file, a list of two")
@pytest.mark.parametrize("name", ["edit", "editList"])
def test_edit(openai: dict, name: str) -> None:
    made = schemas.check_images(gave(openai, name))
    assert opened(made.data[0].b64_json).size == (256, 256)


@pytest.mark.shows(OPENAI, "edit with a mask: the rest stays as it was")
def test_edit_with_a_mask(openai: dict, picture: Path) -> None:
    made = schemas.check_images(gave(openai, "editMask"))
    result = opened(made.data[0].b64_json).convert("RGB")
    with PIL.Image.open(picture) as before:
        right = (136, 0, 256, 256)
        assert result.crop(right).tobytes() == before.convert("RGB").crop(right).tobytes()


@pytest.mark.shows(OPENAI, "the list of models; BadRequestError and NotFoundError")
def test_models_and_errors(openai: dict) -> None:
    names = [schemas.Model.model_validate(model).id for model in gave(openai, "models")]
    assert {"flux", "limner-mini"} <= set(names)
    wrong, unknown = threw(openai, "wrong"), threw(openai, "unknown")
    assert (wrong["class"], wrong["status"], wrong["param"]) == ("BadRequestError", 400, "size")
    assert (unknown["class"], unknown["status"], unknown["code"]) == ("NotFoundError", 404, "model_not_found")
    assert wrong["requestID"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("official", marks=pytest.mark.shows(AI_OPENAI, "generateImage with gpt-image-1 and quality")),
        pytest.param("dallE", marks=pytest.mark.shows(AI_OPENAI, "generateImage with dall-e-3")),
        pytest.param("edit", marks=pytest.mark.shows(AI_OPENAI, "generateImage from a picture")),
        pytest.param("editMask", marks=pytest.mark.shows(AI_OPENAI, "generateImage from a picture and a mask")),
        pytest.param("compatible", marks=pytest.mark.shows(AI_COMPATIBLE, "generateImage, two pictures")),
        pytest.param("compatibleEdit", marks=pytest.mark.shows(AI_COMPATIBLE, "generateImage from a picture")),
    ],
)
def test_generate_image(ai: dict, name: str) -> None:
    images = gave(ai, name)
    assert len(images) == (2 if name == "compatible" else 1)
    for image in images:
        assert image["mediaType"] == "image/png"
        assert opened(image["base64"]).size == (256, 256)


@pytest.mark.shows(AI_COMPATIBLE, "APICallError for an unknown model, with our message")
def test_an_unknown_model(ai: dict) -> None:
    error = threw(ai, "unknown")
    assert (error["name"], error["status"]) == ("AI_APICallError", 404)
    assert "flux" in error["message"]
