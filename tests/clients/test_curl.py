"""curl, as people type it, against `limner serve`."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import schemas
from tests.clients.pictures import opened
from tests.clients.test_fixtures import events
from tests.processes import PATIENCE, Served, environment

pytestmark = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on PATH")
CURL = "curl"


def curl(home: Path, *arguments: str) -> bytes:
    """What it writes to standard output."""
    # -q: nobody's .curlrc.
    command = ["curl", "-q", "-sS", "--noproxy", "*", *arguments]
    done = subprocess.run(command, cwd=home, env=environment(home), capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def body(**fields: object) -> tuple[str, ...]:
    """The options that post a JSON body."""
    return ("-H", "Content-Type: application/json", "-d", json.dumps({"prompt": "a cat", "quality": "low", **fields}))


@pytest.mark.shows(CURL, "generate; the picture downloaded from its address")
def test_generate(limner_serve: Served, tmp_path: Path) -> None:
    answer = json.loads(curl(tmp_path, f"{limner_serve.url}/v1/images/generations", *body(model="flux")))
    made = schemas.check_images(answer)
    curl(tmp_path, made.data[0].url, "-o", "cat.png")
    assert (tmp_path / "cat.png").read_bytes() == made.data[0].b64_json


@pytest.mark.shows(CURL, "-N: generate, streamed with three partial pictures")
def test_stream(limner_serve: Served, tmp_path: Path) -> None:
    wish = body(model="gpt-image-1", stream=True, partial_images=3, num_inference_steps=8)
    streamed = events(curl(tmp_path, "-N", f"{limner_serve.url}/v1/images/generations", *wish))
    assert opened(schemas.check_events(streamed, "image_generation", 3)).size == (512, 512)


@pytest.mark.shows(CURL, "-F: edit with a mask; a variation")
def test_forms(limner_serve: Served, picture: Path, mask: Path, tmp_path: Path) -> None:
    image = ("-F", f"image=@{picture}", "-F", "size=256x256", "-F", "response_format=b64_json")
    painted = ("-F", "prompt=a dog", "-F", f"mask=@{mask}")
    for route, more in (("edits", painted), ("variations", ())):
        answer = curl(tmp_path, f"{limner_serve.url}/v1/images/{route}", *image, *more)
        assert opened(schemas.check_images(json.loads(answer)).data[0].b64_json).size == (256, 256)


@pytest.mark.shows(CURL, "an error object for a body that is not JSON")
def test_an_error(limner_serve: Served, tmp_path: Path) -> None:
    answer = curl(tmp_path, f"{limner_serve.url}/v1/images/generations", "-d", "prompt=a cat")
    assert schemas.ErrorResponse.model_validate(json.loads(answer)).error.message
