"""The official openai package, as its users write it, against a server process."""

import base64
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import openai
import PIL.Image
import pytest

from tests.processes import Served

OPENAI = "openai (Python)"


@pytest.fixture
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="local", max_retries=0) as made:
        yield made


def size_of(data: bytes) -> tuple[int, int]:
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


@pytest.mark.shows(OPENAI, "generate: base64, four model names")
@pytest.mark.parametrize("model", ["flux", "dall-e-3", "gpt-image-1", "limner-mini"])
def test_b64_json(client: openai.OpenAI, model: str) -> None:
    made = client.images.generate(model=model, prompt="a cat", size="512x512", response_format="b64_json")
    assert made.data is not None
    (item,) = made.data
    assert item.url is None
    assert size_of(base64.b64decode(item.b64_json or "", validate=True)) == (512, 512)
    assert abs(made.created - time.time()) < 60


@pytest.mark.shows(OPENAI, "generate: an address for `url`, and for null")
@pytest.mark.parametrize("response_format", ["url", None])
def test_url(client: openai.OpenAI, response_format: str | None) -> None:
    made = client.images.generate(
        model="flux",
        prompt="a dog",
        size="256x256",
        response_format=response_format,  # pyright: ignore[reportArgumentType]
    )
    assert made.data is not None
    (item,) = made.data
    assert item.b64_json is None
    # A plain download without the client's key, as a browser does it.
    answer = httpx2.get(item.url or "", trust_env=False)
    assert answer.headers["content-type"] == "image/png"
    assert size_of(answer.content) == (256, 256)


def test_without_a_response_format_flux_gives_both(client: openai.OpenAI) -> None:
    made = client.images.generate(model="flux", prompt="hello world user")
    assert made.data is not None
    (item,) = made.data
    assert item.url is not None
    assert httpx2.get(item.url, trust_env=False).content == base64.b64decode(item.b64_json or "")


@pytest.mark.shows(OPENAI, "generate: three pictures as png, jpeg, webp")
@pytest.mark.parametrize(("output_format", "magic"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")])
def test_output_formats_and_several_pictures(client: openai.OpenAI, output_format: str, magic: bytes) -> None:
    made = client.images.generate(
        model="gpt-image-1",
        prompt="a cat",
        n=3,
        output_format=output_format,  # pyright: ignore[reportArgumentType]
        quality="high",
        background="opaque",
        extra_body={"seed": 7},
    )
    assert made.data is not None
    assert made.output_format == output_format
    pictures = [base64.b64decode(item.b64_json or "") for item in made.data]
    assert len(set(pictures)) == 3
    assert all(picture.startswith(magic) for picture in pictures)


@pytest.mark.shows(OPENAI, "AsyncOpenAI")
async def test_the_asynchronous_client(server: Served) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="local") as client:
        made = await client.images.generate(model="flux", prompt="a cat", response_format="b64_json")
    assert made.data is not None
    assert made.data[0].b64_json


@pytest.mark.shows(OPENAI, "models.list, models.retrieve")
def test_models(client: openai.OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"flux", "limner-mini", "dall-e-3"} <= names
    model = client.models.retrieve("flux")
    assert (model.id, model.object, model.owned_by) == ("flux", "model", "limner")


@pytest.mark.shows(OPENAI, "BadRequestError with the field in `param`")
@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"size": "banana"}, "size"),
        ({"n": 11}, "n"),
        ({"response_format": "gif"}, "response_format"),
        ({"extra_body": {"seed": "seven"}}, "seed"),
    ],
)
def test_a_wrong_request_raises_bad_request(client: openai.OpenAI, wish: dict, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"model": "flux", "prompt": "a cat", **wish})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


@pytest.mark.shows(OPENAI, "NotFoundError for an unknown model")
def test_an_unknown_model_raises_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="flux") as caught:
        client.images.generate(model="fluxx", prompt="a cat")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("fluxx")


def test_an_engine_failure_raises_internal_server_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError, match="exploded"):
        client.images.generate(model="flux", prompt="explode")


@pytest.mark.shows(OPENAI, "AuthenticationError")
def test_a_wrong_key_raises_authentication(start: Callable[..., Served]) -> None:
    url = start(LIMNER_API_KEY="right").url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0) as wrong:
        with pytest.raises(openai.AuthenticationError):
            wrong.images.generate(model="flux", prompt="a cat")
        with pytest.raises(openai.AuthenticationError):
            wrong.models.list()
    with openai.OpenAI(base_url=f"{url}/v1", api_key="right", max_retries=0) as right:
        assert right.images.generate(model="flux", prompt="a cat").data


@pytest.mark.shows(OPENAI, "RateLimitError, and retries that wait as told")
def test_a_full_queue_raises_rate_limit_and_the_client_waits_when_told(start: Callable[..., Served]) -> None:
    url = f"{start(seconds=0.2, LIMNER_MAX_QUEUE='0').url}/v1"

    def draw(retries: int) -> object:
        with openai.OpenAI(base_url=url, api_key="local", max_retries=retries) as client:
            try:
                return client.images.generate(model="flux", prompt="a cat", quality="high").data
            except openai.RateLimitError as error:
                return error

    with ThreadPoolExecutor(2) as threads:
        # Two at once, and room for one: whichever comes later is refused, or waits as it is told.
        hasty = list(threads.map(draw, (0, 0)))
        patient = list(threads.map(draw, (5, 5)))
    (refused,) = [each for each in hasty if isinstance(each, openai.RateLimitError)]
    assert refused.code == "queue_full"
    assert 1 <= int(refused.response.headers["retry-after"]) <= 120
    assert all(isinstance(each, list) for each in patient)
