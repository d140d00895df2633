"""The official openai package against a server process: pictures made from pictures, and pictures as they come."""

from collections.abc import Iterator
from pathlib import Path

import openai
import PIL.Image
import pytest
from openai.types import ImagesResponse

from tests.clients import schemas
from tests.clients.pictures import opened
from tests.processes import Served

OPENAI = "openai (Python)"


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0) as made:
        yield made


def finished(made: object) -> PIL.Image.Image:
    """The one picture of an answer that is as the specification says."""
    answer = schemas.check_images(made.model_dump(exclude_unset=True))  # type: ignore[attr-defined]
    return opened(answer.data[0].b64_json)


@pytest.mark.shows(OPENAI, "edit: one file, a list of one, a list of three")
@pytest.mark.parametrize("count", [None, 1, 3])
def test_edit(client: openai.OpenAI, picture: Path, count: int | None) -> None:
    image = picture if count is None else [picture] * count
    made = client.images.edit(model="gpt-image-1", prompt="a dog", image=image, n=1, size="1024x1024")
    assert finished(made).size == (1024, 1024)


@pytest.mark.shows(OPENAI, "edit with a mask: the rest stays as it was")
def test_edit_with_a_mask(client: openai.OpenAI, picture: Path, mask: Path) -> None:
    made = client.images.edit(
        model="gpt-image-1", prompt="a dog", image=picture, mask=mask, size="256x256", input_fidelity="high"
    )
    after = finished(made).convert("RGB")
    with PIL.Image.open(picture) as before:
        right, left = (136, 0, 256, 256), (0, 0, 120, 256)
        assert after.crop(right).tobytes() == before.crop(right).tobytes()
        assert after.crop(left).tobytes() != before.crop(left).tobytes()


@pytest.mark.shows(OPENAI, "create_variation")
def test_variation(client: openai.OpenAI, picture: Path) -> None:
    with pytest.deprecated_call():
        made = client.images.create_variation(image=picture, n=2, size="256x256", response_format="b64_json")
    answer = schemas.check_images(made.model_dump(exclude_unset=True))
    assert [opened(item.b64_json).size for item in answer.data] == [(256, 256)] * 2
    assert answer.data[0].b64_json != answer.data[1].b64_json


@pytest.mark.shows(OPENAI, "generate, streamed with 0 to 3 partial pictures")
@pytest.mark.parametrize("partial", [0, 1, 3])
def test_generate_streamed(client: openai.OpenAI, partial: int) -> None:
    stream = client.images.generate(
        model="gpt-image-1", prompt="a cat", stream=True, partial_images=partial, quality="high"
    )
    events = [event.model_dump(exclude_unset=True) for event in stream]
    assert opened(schemas.check_events(events, "image_generation", partial)).size == (256, 256)


@pytest.mark.shows(OPENAI, "generate and edit on a transparent background")
def test_transparent(client: openai.OpenAI, picture: Path) -> None:
    made = client.images.generate(model="gpt-image-1", prompt="a cat", background="transparent", output_format="webp")
    edited = client.images.edit(model="gpt-image-1", prompt="a dog", image=picture, background="transparent")
    for answer in (made, edited):
        assert answer.background == "transparent"
        assert finished(answer).mode == "RGBA"


@pytest.mark.shows(OPENAI, "files.create, then an edit of the file by its id")
def test_edit_of_a_file(client: openai.OpenAI, picture: Path, mask: Path) -> None:
    sent = [client.files.create(file=path, purpose="vision").id for path in (picture, mask)]
    body = {"model": "gpt-image-1", "prompt": "a dog", "images": [{"file_id": sent[0]}], "mask": {"file_id": sent[1]}}
    made = client.post("/images/edits", body=body, cast_to=ImagesResponse)
    assert finished(made).size == (256, 256)
    for file_id in sent:
        assert client.files.retrieve(file_id).status == "processed"
        assert client.files.delete(file_id).deleted


@pytest.mark.shows(OPENAI, "edit, streamed")
def test_edit_streamed(client: openai.OpenAI, picture: Path) -> None:
    stream = client.images.edit(
        model="gpt-image-1", prompt="a dog", image=[picture], stream=True, partial_images=2, size="1024x1024"
    )
    events = [event.model_dump(exclude_unset=True) for event in stream]
    assert opened(schemas.check_events(events, "image_edit", 2)).size == (1024, 1024)


@pytest.mark.shows(OPENAI, "APIError when the engine fails in the middle of a stream")
def test_a_failing_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="exploded"):
        list(
            client.images.generate(model="gpt-image-1", prompt="explode", stream=True, partial_images=3, quality="high")
        )
