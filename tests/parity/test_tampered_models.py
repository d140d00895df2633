"""A model that somebody changed after it was pulled: it is not loaded, or what was added is not looked at."""

import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.e2e.test_hostile_models import Bomb, code
from tests.processes import LIMNER, ROOT, Served, limner, serving

CHECKPOINT = ROOT / "training/checkpoint"
NAMES = ("replaced", "named", "beside")
CODE_NAMED = '{"auto_map": {"AutoTokenizer": ["evil.T", null]}}'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    for name in NAMES:
        shutil.copytree(CHECKPOINT, home / name)
        assert limner("pull", str(home / name), "--name", name, cwd=home).returncode == 0
    return home


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    with serving([LIMNER, "serve", "--port", "0"], home, LIMNER_DEVICE="cpu") as served:
        yield served


@pytest.fixture
def canary(home: Path) -> Iterator[Path]:
    path = home / "canary"
    yield path
    assert not path.exists(), "code from the model's folder ran"


def draw(served: Served, model: str) -> httpx2.Response:
    body = {"model": model, "prompt": "a red apple", "size": "64x64", "num_inference_steps": 1}
    return httpx2.post(f"{served.url}/v1/images/generations", json=body, timeout=300)


def test_a_file_that_is_another_now(served: Served, home: Path) -> None:
    (home / "replaced/transformer/config.json").write_text(CODE_NAMED)
    answer = draw(served, "replaced")
    assert answer.status_code >= 500
    assert answer.json()["error"]["code"] == "model_corrupt"
    assert "transformer/config.json of replaced is not the file that was pulled" in answer.json()["error"]["message"]


def test_a_configuration_that_names_code(served: Served, home: Path, canary: Path) -> None:
    (home / "named/tokenizer/evil.py").write_bytes(code(canary))
    (home / "named/tokenizer/processor_config.json").write_text(CODE_NAMED)
    answer = draw(served, "named")
    assert answer.status_code >= 500
    assert answer.json()["error"]["code"] == "unsafe_model"
    assert "names code to run (auto_map)" in answer.json()["error"]["message"]


def test_code_and_pickles_beside_the_weights(served: Served, home: Path, canary: Path) -> None:
    for path in ("pipeline.py", "transformer/__init__.py", "transformer/modeling.py", "sitecustomize.py"):
        (home / "beside" / path).write_bytes(code(canary))
    for path in ("transformer/diffusion_pytorch_model.bin", "text_encoder/pytorch_model.bin"):
        (home / "beside" / path).write_bytes(pickle.dumps(Bomb(canary)))
    answer = draw(served, "beside")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "beside"
