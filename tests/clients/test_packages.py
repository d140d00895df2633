"""Python packages that bring their own clients, each in a process and an environment of its own."""

from collections.abc import Callable

import pytest

from tests.clients.pictures import gave, opened, threw

LITELLM = "litellm"
LANGCHAIN = "langchain-community"
HUGGINGFACE = "huggingface_hub"


@pytest.fixture
def litellm(told: Callable) -> dict:
    return told("litellm_images.py")


@pytest.mark.shows(LITELLM, "image_generation as openai/flux and openai/gpt-image-1")
def test_litellm_generates(litellm: dict) -> None:
    for name, size in (("generate", (256, 256)), ("plain", (512, 512))):
        (item,) = gave(litellm, name)["data"]
        assert opened(item["b64_json"]).size == size


@pytest.mark.shows(LITELLM, "image_generation as openai/dall-e-3: an address")
def test_litellm_gives_an_address(litellm: dict, fetch: Callable[[str], bytes]) -> None:
    (item,) = gave(litellm, "url")["data"]
    assert opened(fetch(item["url"])).size == (1024, 1024)


@pytest.mark.shows(LITELLM, "image_generation with a seed: twice the same picture")
def test_litellm_passes_the_seed(litellm: dict) -> None:
    first, second = (made["data"][0]["b64_json"] for made in gave(litellm, "seed"))
    assert first == second


@pytest.mark.shows(LITELLM, "image_edit: one file, a list with a mask")
@pytest.mark.parametrize("name", ["edit", "edit_list"])
def test_litellm_edits(litellm: dict, name: str) -> None:
    opened(gave(litellm, name)["data"][0]["b64_json"])


@pytest.mark.shows(LITELLM, "NotFoundError for an unknown model")
def test_litellm_names_an_unknown_model(litellm: dict) -> None:
    error = threw(litellm, "unknown")
    assert (error["class"], error["status"]) == ("NotFoundError", 404)
    assert "fluxx" in error["message"]


@pytest.mark.shows(LANGCHAIN, "DallEAPIWrapper.run: one address, and two")
def test_langchain(told: Callable, fetch: Callable[[str], bytes]) -> None:
    deeds = told("langchain_images.py")
    assert opened(fetch(gave(deeds, "run"))).size == (1024, 1024)
    addresses = gave(deeds, "several").split("\n")
    assert [opened(fetch(each)).size for each in addresses] == [(256, 256)] * 2


@pytest.mark.shows(
    HUGGINGFACE,
    "InferenceClient(base_url=...).text_to_image",
    result='does not work: with a base URL it sends `{"inputs": ...}` and waits for the bytes of a picture, which is '
    "the protocol of Hugging Face's endpoints and not the images API. Its providers that do send the images API "
    "(together, nscale) have fixed addresses; their request is replayed below",
)
def test_huggingface_speaks_another_protocol(told: Callable) -> None:
    deeds = told("huggingface_images.py")
    # When this fails, the package has learnt to speak to us or we to it: the table above must be corrected.
    assert threw(deeds, "base")["status"] in (404, 405)
    assert threw(deeds, "route")["status"] == 400
