"""The whole way of a real model: from a hub, pulled, served, drawn with as `flux`, unloaded when idle, removed.

The model is limner-mini's own checkpoint: a real FluxPipeline, and small.
"""

import base64
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import httpx2
import PIL.Image
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests import hub as hubs
from tests.processes import LIMNER, ROOT, Served, limner, serving

NAME = "limner/checkpoint"
CHECKPOINT = ROOT / "training/checkpoint"
# Seconds for a child process to import torch and load, on a busy machine.
PATIENCE = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def hub() -> Iterator[hubs.Hub]:
    with hubs.running() as hub:
        hub.add(hubs.Repository(NAME, hubs.of_folder(CHECKPOINT)))
        yield hub


@pytest.fixture(scope="module")
def extra(home: Path, hub: hubs.Hub) -> dict[str, str]:
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LIMNER_ADMIN_KEY": "admin",
        "LIMNER_MODEL_KEEP_ALIVE": "2",
        "LIMNER_DEVICE": "cpu",
    }


@pytest.fixture(scope="module")
def served(home: Path, extra: dict[str, str]) -> Iterator[Served]:
    """A server that started before anything was pulled, and cannot ask the hub."""
    with serving([LIMNER, "serve", "--port", "0"], home, **extra | {"HF_HUB_OFFLINE": "1"}) as served:
        yield served


def draw(served: Served, model: str) -> httpx2.Response:
    body = {"model": model, "prompt": "a red apple", "size": "256x256", "seed": 7, "num_inference_steps": 2}
    return httpx2.post(f"{served.url}/v1/images/generations", json=body, timeout=PATIENCE)


def state(served: Served) -> dict[str, object]:
    entry = httpx2.get(f"{served.url}/v1/models/{NAME}", timeout=10).json()
    return entry["limner"]["state"]


def run(*arguments: str, home: Path, extra: dict[str, str]) -> "CompletedProcess[bytes]":
    return limner(*arguments, cwd=home, **extra)


def test_before_it_is_pulled_flux_is_the_small_model(served: Served) -> None:
    assert draw(served, "flux").json()["model"] == "limner-mini"
    assert draw(served, NAME).status_code == 404


def test_pulled_and_drawn_with_as_flux(served: Served, home: Path, extra: dict[str, str], hub: hubs.Hub) -> None:
    hub.cuts["transformer/diffusion_pytorch_model.safetensors"] = [10_000_000]
    pulled = run("pull", NAME, home=home, extra=extra)
    assert (pulled.returncode, pulled.stdout.decode().strip()) == (0, NAME), pulled.stderr
    assert b"cannot run" not in pulled.stderr
    assert state(served)["loaded"] is False
    answer = draw(served, "flux")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["model"], answer.headers["x-limner-model"]) == (NAME, NAME)
    picture = PIL.Image.open(io.BytesIO(httpx2.get(told["data"][0]["url"], timeout=10).content))
    assert picture.size == (256, 256)
    # A picture, and not one colour.
    assert len(picture.convert("RGB").resize((16, 16)).getcolors() or []) > 10
    assert "answered by limner/checkpoint" in served.said.read_text()


def test_it_is_the_same_picture_under_its_own_name(served: Served) -> None:
    body = {"model": NAME, "prompt": "a red apple", "size": "256x256", "seed": 7, "num_inference_steps": 2}
    answers = [
        httpx2.post(
            f"{served.url}/v1/images/generations",
            json=body | {"model": name, "response_format": "b64_json"},
            timeout=PATIENCE,
        )
        for name in (NAME, "flux")
    ]
    first, second = (base64.b64decode(answer.json()["data"][0]["b64_json"]) for answer in answers)
    assert first == second


def test_shown_while_it_is_in_memory_and_gone_when_idle(served: Served, home: Path, extra: dict[str, str]) -> None:
    assert draw(served, NAME).status_code == 200
    shown = httpx2.get(f"{served.url}/admin/ps", headers={"authorization": "Bearer admin"}, timeout=10).json()
    assert [entry["name"] for entry in shown["models"]] == [NAME]
    end = time.monotonic() + 60
    while state(served)["loaded"]:
        assert time.monotonic() < end, "it stays in memory"
        time.sleep(0.1)
    ps = run("ps", "--json", "--server", served.url, home=home, extra=extra)
    assert json.loads(ps.stdout) == {"models": []}
    # It comes back.
    assert draw(served, NAME).status_code == 200


def test_ps_and_stop(served: Served, home: Path, extra: dict[str, str]) -> None:
    # A request that is long enough to be seen.
    body = {"model": NAME, "prompt": "a cat", "size": "256x256", "num_inference_steps": 40, "n": 2}
    with httpx2.stream(
        "POST", f"{served.url}/v1/images/generations", json=body | {"stream": True}, timeout=PATIENCE
    ) as stream:
        end = time.monotonic() + 120
        while not (state(served)["loaded"] and state(served)["requests"]):
            assert time.monotonic() < end
            time.sleep(0.05)
        ps = run("ps", "--server", served.url, home=home, extra=extra)
        assert NAME in ps.stdout.decode()
        assert b"in use" in ps.stdout
        stopped = run("stop", NAME, "--server", served.url, home=home, extra=extra)
        assert stopped.returncode == 0, stopped.stderr
        # Running work ends first.
        assert b"image_generation.completed" in b"".join(stream.iter_bytes())
    refused = run("stop", NAME, "--server", served.url, home=home, extra=extra | {"LIMNER_ADMIN_KEY": "wrong"})
    assert refused.returncode == 4


def test_removed_with_its_files(served: Served, home: Path, extra: dict[str, str]) -> None:
    removed = run("rm", NAME, home=home, extra=extra)
    assert removed.returncode == 0, removed.stderr
    assert list((home / "hf").rglob("*.safetensors")) == []
    assert list((home / "hf").rglob("blobs/*")) == []
    assert draw(served, "flux").json()["model"] == "limner-mini"
    assert draw(served, NAME).status_code == 404


def test_pulled_over_http(home: Path, extra: dict[str, str]) -> None:
    with serving([LIMNER, "serve", "--port", "0"], home, **extra) as served:
        key = {"authorization": "Bearer admin"}
        answer = httpx2.post(f"{served.url}/admin/models/pull", json={"model": NAME}, headers=key, timeout=PATIENCE)
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert lines[-1]["status"] == "success", lines[-1]
        assert all(line["done"] <= line["total"] for line in lines[:-1])
        assert draw(served, "flux").json()["model"] == NAME
        gone = httpx2.delete(f"{served.url}/admin/models/{NAME}", headers=key, timeout=60)
        assert gone.json()["removed"] is True
        assert draw(served, "flux").json()["model"] == "limner-mini"


def test_nothing_is_left_behind(home: Path, extra: dict[str, str]) -> None:
    """A server that is stopped takes its model's process with it."""
    assert run("pull", NAME, home=home, extra=extra).returncode == 0
    with serving([LIMNER, "serve", "--port", "0"], home, **extra | {"LIMNER_MODEL_KEEP_ALIVE": "600"}) as served:
        assert draw(served, NAME).status_code == 200
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
        before = children.read_text().split() if children.exists() else []
        assert served.stop() == 0
    assert [pid for pid in before if Path(f"/proc/{pid}").exists() and alive(pid)] == []


def alive(pid: str) -> bool:
    """Not a zombie that nobody has waited for yet."""
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
