"""The script that the project began with, as its users run it: unchanged, in a process of its own."""

import ast
import base64
import io
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import requests

from tests.processes import LIMNER, PATIENCE, ROOT, Served, environment, serving

SCRIPT = """\
import requests
url = "http://localhost:1337/v1/images/generations"
body = {"model": "flux", "prompt": "hello world user", "response_format": None}
data = requests.post(url, json=body, stream=True).json()
print(data)
"""


@pytest.fixture(scope="module")
def on_its_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`limner serve` on the port of the script; on a free one where something else has that."""
    try:
        socket.create_server(("127.0.0.1", 1337)).close()
        port = "1337"
    except OSError:
        port = "0"
    with serving([LIMNER, "serve", "--port", port], tmp_path_factory.mktemp("script")) as served:
        yield served


def run(script: str, served: Served, home: Path) -> dict[str, Any]:
    """What the script prints."""
    script = script.replace("localhost:1337", "localhost:" + served.url.rpartition(":")[2])
    shown = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    return ast.literal_eval(shown.stdout)


@pytest.mark.parametrize("response_format", ["None", '"url"', '"b64_json"'])
@pytest.mark.parametrize("prompt", ["hello world user", "a cat", "a dog"])
def test_the_script_gets_a_picture(prompt: str, response_format: str, on_its_port: Served, tmp_path: Path) -> None:
    script = SCRIPT.replace("hello world user", prompt).replace("None", response_format)
    data = run(script, on_its_port, tmp_path)
    (item,) = data["data"]
    if response_format == '"b64_json"':
        assert "url" not in item
        picture = base64.b64decode(item["b64_json"], validate=True)
    else:
        assert "b64_json" not in item
        answer = requests.get(item["url"], timeout=PATIENCE)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        picture = answer.content
    with PIL.Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
        image.load()
        assert image.size == (512, 512)
        colours = image.convert("RGB").getcolors(512 * 512)
        assert colours is None or len(colours) > 16, "the picture is all but blank"
    assert data["model"] == "limner-mini"


def test_a_size_that_was_asked_for_is_given(on_its_port: Served, tmp_path: Path) -> None:
    script = SCRIPT.replace('"response_format": None', '"size": "320x192", "num_inference_steps": 1')
    (item,) = run(script, on_its_port, tmp_path)["data"]
    picture = requests.get(item["url"], timeout=PATIENCE).content
    assert picture == base64.b64decode(item["b64_json"], validate=True)
    assert PIL.Image.open(io.BytesIO(picture)).size == (320, 192)


def test_an_error_is_json_too(on_its_port: Served, tmp_path: Path) -> None:
    error = run(SCRIPT.replace("hello world user", ""), on_its_port, tmp_path)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == "prompt"


def test_the_readme_shows_this_very_script() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    code = [re.sub(r"\s+#.*", "", block).strip() for block in blocks]
    assert SCRIPT.strip() in code
