"""Repositories that want to do more than hold weights: nothing of them runs, and a clear word says why."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests import hub as hubs
from tests.e2e.test_pull import GOOD, INDEX, LARGE
from tests.processes import limner

NAME = "tests/hostile"
Run = Callable[..., "CompletedProcess[bytes]"]


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that any code of the repository would make. It must not be there in the end."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code of the repository ran"


def code(canary: Path) -> bytes:
    return f"import pathlib; pathlib.Path({str(canary)!r}).touch()\n".encode()


def index(**changes: Any) -> dict[str, bytes]:
    return {"model_index.json": json.dumps(INDEX | changes).encode()}


def without(*paths: str) -> dict[str, bytes]:
    return {path: data for path, data in GOOD.items() if path not in paths}


# What is in the repository beside or instead of a good one's files -> what the user reads.
HOSTILE: dict[str, tuple[Callable[[Path], dict[str, bytes]], str]] = {
    "a pipeline of its own": (
        lambda canary: GOOD | index(_class_name=["pipeline", "Pipeline"]) | {"pipeline.py": code(canary)},
        "no plain class name",
    ),
    "a class that nobody knows": (lambda canary: GOOD | index(_class_name="os.system"), "no plain class name"),
    "a class that is not ours": (lambda canary: GOOD | index(_class_name="DiffusionPipeline"), "DiffusionPipeline"),
    "a part from the repository": (
        lambda canary: GOOD | index(transformer=["evil", "Model"]) | {"transformer/evil.py": code(canary)},
        "'evil'",
    ),
    "a part from a path": (lambda canary: GOOD | index(transformer=["../../evil", "Model"]), "../../evil"),
    "a part from builtins": (lambda canary: GOOD | index(transformer=["builtins", "exec"]), "builtins"),
    "a part that is no pair": (lambda canary: GOOD | index(transformer=["diffusers", "A", "B"]), "transformer"),
    "a class that is a list": (lambda canary: GOOD | index(transformer=["diffusers", ["A"]]), "transformer"),
    "code named in a configuration": (
        lambda canary: GOOD
        | {"tokenizer/tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": ["evil.T", null]}}'}
        | {"tokenizer/evil.py": code(canary)},
        "auto_map",
    ),
    "weights as a pickle only": (
        lambda canary: without(LARGE)
        | {"transformer/diffusion_pytorch_model.bin": pickle.dumps(Bomb(canary))},
        "can run code",
    ),
    "a file that climbs": (lambda canary: GOOD | {"transformer/../../../evil.json": b"{}"}, "leads out of its folder"),
    "a file at the root": (lambda canary: GOOD | {"/etc/evil.json": b"{}"}, "leads out of its folder"),
    "a file of Windows": (lambda canary: GOOD | {"transformer\\..\\evil.json": b"{}"}, "leads out of its folder"),
    "an index that is no JSON": (lambda canary: GOOD | {"model_index.json": b"[" * 100_000}, "not JSON"),
    "an index that is a list": (lambda canary: GOOD | {"model_index.json": b"[]"}, "not an object"),
    "no index": (lambda canary: without("model_index.json"), "has no model_index.json"),
    "a part that is not there": (lambda canary: GOOD | index(vae=["diffusers", "AutoencoderKL"]), "no such folder"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_repository_is_refused(kind: str, tmp_path: Path, canary: Path) -> None:
    make, word = HOSTILE[kind]
    with hubs.running() as hub:
        hub.add(hubs.Repository(NAME, make(canary)))
        run = limner("pull", NAME, cwd=tmp_path, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))
        assert run.returncode == 1
        assert word in run.stderr.decode()
        assert "Traceback" not in run.stderr.decode()
        # It is judged by its small files.
        assert hub.fetched(LARGE) == []
    assert not (tmp_path / "data/limner/models.lock").exists()
    assert [path.name for path in tmp_path.rglob("evil*")] == []
    assert b"hostile" not in limner("models", "--local", cwd=tmp_path).stdout


def test_pickles_and_code_beside_good_weights_stay_at_the_hub(tmp_path: Path, canary: Path) -> None:
    beside = {
        "transformer/diffusion_pytorch_model.bin": pickle.dumps(Bomb(canary)),
        "transformer/modeling.py": code(canary),
        "pipeline.py": code(canary),
        "transformer/.hidden.json": b"{}",
        "transformer/deeper/config.json": b"{}",
    }
    with hubs.running() as hub:
        hub.add(hubs.Repository(NAME, GOOD | beside))
        run = limner("pull", NAME, cwd=tmp_path, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))
        assert run.returncode == 0, run.stderr
        assert "left at the hub: 7 files" in run.stderr.decode()
        assert [path for path in beside if hub.fetched(path)] == []
    names = {path.name for path in (tmp_path / "hf").rglob("*")}
    assert names.isdisjoint(path.rpartition("/")[2] for path in beside if path != "transformer/deeper/config.json")


def test_a_folder_with_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", GOOD)
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (folder / "transformer/config.json").unlink()
    (folder / "transformer/config.json").symlink_to(secret)
    run = limner("pull", str(folder), cwd=tmp_path)
    assert run.returncode == 1
    assert "leads out of its folder" in run.stderr.decode()


@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if not kind.startswith("a file")])
def test_a_hostile_folder_is_refused(kind: str, tmp_path: Path, canary: Path) -> None:
    folder = write(tmp_path / "model", HOSTILE[kind][0](canary))
    run = limner("pull", str(folder), "--name", "mine", cwd=tmp_path)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr.decode()
    assert not (tmp_path / "data/limner/models.lock").exists()


def test_a_good_folder_is_taken_as_it_lies(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", GOOD)
    run = limner("pull", str(folder), "--name", "mine", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (0, b"mine\n"), run.stderr
    assert limner("rm", "mine", cwd=tmp_path).returncode == 0
    assert (folder / LARGE).exists()


def test_a_single_file_must_say_what_it_is(tmp_path: Path) -> None:
    folder = write(tmp_path / "settings", without(LARGE))
    file = tmp_path / "one.safetensors"
    file.write_bytes(GOOD[LARGE])
    silent = limner("pull", str(file), cwd=tmp_path)
    assert silent.returncode == 2
    assert "--pipeline" in silent.stderr.decode()
    wrong = limner("pull", str(file), "--pipeline", "SanaPipeline", "--config", str(folder), cwd=tmp_path)
    assert wrong.returncode == 1
    assert "SanaPipeline" in wrong.stderr.decode()
    told = ("--pipeline", "FluxPipeline", "--config", str(folder))
    good = limner("pull", str(file), *told, "--json", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    facts = json.loads(good.stdout)
    assert (facts["name"], facts["pipeline"], facts["bytes"]) == ("one", "FluxPipeline", len(GOOD[LARGE]))
    pickled = tmp_path / "one.ckpt"
    pickled.write_bytes(b"")
    assert limner("pull", str(pickled), *told, cwd=tmp_path).returncode == 2


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder
