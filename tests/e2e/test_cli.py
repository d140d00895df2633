"""The command line as a program: what it prints where, what it writes, how it exits."""

import io
import json
import signal
import subprocess
import time
from pathlib import Path

import PIL.Image
import pytest
from PIL.PngImagePlugin import PngInfo

from tests.processes import LIMNER, PATIENCE, Served, environment, limner

QUICK = ("--steps", "1")


def lines(text: bytes) -> list[str]:
    return text.decode().splitlines()


def test_a_picture_here_and_at_a_server_are_the_same_bytes(limner_serve: Served, tmp_path: Path) -> None:
    common = ("generate", "a red apple", "--seed", "7", "--size", "192x128", *QUICK)
    here = limner(*common, "-o", "here.png", "--local", cwd=tmp_path)
    there = limner(*common, "-o", "there.png", cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url)
    named = limner(*common, "-o", "named.png", "--server", limner_serve.url, cwd=tmp_path)
    assert [run.returncode for run in (here, there, named)] == [0, 0, 0]
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "named.png").read_bytes()
    assert lines(here.stdout) == ["here.png"]
    # Which of the two it was is said, and not where data goes.
    assert "in this process" in here.stderr.decode()
    assert f"at {limner_serve.url}/v1" in there.stderr.decode()


def test_without_a_server_it_draws_by_itself(tmp_path: Path) -> None:
    run = limner("generate", "a cat", *QUICK, "--seed", "7", cwd=tmp_path)
    assert (run.returncode, lines(run.stdout)) == (0, ["cat-7.png"])
    assert lines(run.stderr) == ["Drawing in this process."]


def test_made_up_names_never_overwrite(limner_serve: Served, tmp_path: Path) -> None:
    server = ("--server", limner_serve.url, *QUICK)
    for name in ("cat-7.png", "cat-7-2.png"):
        run = limner("generate", "A cat!", "--seed", "7", *server, cwd=tmp_path)
        assert lines(run.stdout) == [name]
    run = limner("generate", "../ÿ / a dog", "--seed", "1", "-n", "2", *server, cwd=tmp_path)
    assert lines(run.stdout) == ["ÿ-a-dog-1.png", "ÿ-a-dog-2.png"]
    (tmp_path / "mine.png").write_text("old")
    (tmp_path / "mine-2.png").write_text("kept")
    run = limner("generate", "a cat", "-n", "2", "-o", "mine.png", *server, cwd=tmp_path)
    assert lines(run.stdout) == ["mine.png", "mine-3.png"]
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "mine-2.png").read_text() == "kept"


def test_the_suffix_chooses_the_format(limner_serve: Served, tmp_path: Path) -> None:
    for name, kind in (("cat.jpg", "JPEG"), ("cat.webp", "WEBP")):
        run = limner("generate", "a cat", *QUICK, "-o", name, cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url)
        assert (run.returncode, lines(run.stdout)) == (0, [name])
        with PIL.Image.open(tmp_path / name) as picture:
            assert picture.format == kind


def test_json_and_quiet(limner_serve: Served, tmp_path: Path) -> None:
    run = limner(
        "generate", "a cat", *QUICK, "--json", "-q", "-m", "flux", "--seed", "4294967295", "-n", "2",
        cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, b"")
    told = json.loads(run.stdout)
    sizes = [(tmp_path / picture["path"]).stat().st_size for picture in told["pictures"]]
    common = {"width": 512, "height": 512, "format": "png"}
    assert told == {
        "server": f"{limner_serve.url}/v1",
        "model": "limner-mini",
        "prompt": "a cat",
        "pictures": [
            {"path": "cat-4294967295.png", "seed": 4294967295, **common, "bytes": sizes[0]},
            {"path": "cat-0.png", "seed": 0, **common, "bytes": sizes[1]},
        ],
    }


def test_an_alias_is_not_passed_off_as_the_model(limner_serve: Served, tmp_path: Path) -> None:
    run = limner("generate", "a cat", *QUICK, "-m", "flux", cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url)
    assert "flux is answered by limner-mini here." in lines(run.stderr)


def test_the_picture_itself_on_standard_output(limner_serve: Served, tmp_path: Path) -> None:
    run = limner("generate", "a cat", *QUICK, "-o", "-", cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url)
    with PIL.Image.open(io.BytesIO(run.stdout)) as picture:
        picture.load()
    assert run.stdout.endswith(b"IEND\xaeB`\x82")


@pytest.mark.parametrize("arguments", [["generate", "a cat", "--size", "1024x1024", *QUICK, "-o", "-"], ["models"]])
def test_a_reader_that_goes_away_is_not_a_traceback(limner_serve: Served, tmp_path: Path, arguments: list[str]) -> None:
    env = environment(tmp_path, LIMNER_BASE_URL=limner_serve.url)
    with subprocess.Popen(
        [LIMNER, *arguments], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.close()
        said = run.stderr.read()
        assert run.wait(PATIENCE) == 1
    assert b"Error" not in said
    assert b"Exception" not in said


def interruptible() -> None:
    """Where this suite runs in a shell's background, interrupts are ignored, and what it starts inherits that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupting_it_ends_it_quietly(tmp_path: Path) -> None:
    long = ["generate", "nine cats", "--local", "--steps", "50", "--guidance", "3", "-n", "10"]
    with subprocess.Popen(
        [LIMNER, *long], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, preexec_fn=interruptible
    ) as run:
        assert run.stderr is not None
        assert run.stderr.readline().startswith(b"Drawing")
        time.sleep(0.5)
        run.send_signal(signal.SIGINT)
        said = run.stderr.read()
        assert run.wait(PATIENCE) == 130
    assert b"Traceback" not in said


@pytest.mark.parametrize("where", ["--local", "--server"])
def test_again_makes_the_same_bytes(limner_serve: Served, tmp_path: Path, where: str) -> None:
    wishes = ["--size", "200x96", "--steps", "2", "--guidance", "2.5", "--negative", "a dog", "--seed", "9", "-n", "2"]
    limner("generate", "“a cat”\nin two lines", *wishes, "-o", "cat.png", "--local", cwd=tmp_path)
    place = [where, limner_serve.url] if where == "--server" else [where]
    for name in ("cat.png", "cat-2.png"):
        run = limner("again", name, "-o", "again.png", *place, cwd=tmp_path)
        assert (run.returncode, lines(run.stdout)) == (0, ["again.png"])
        assert (tmp_path / "again.png").read_bytes() == (tmp_path / name).read_bytes()
        assert "warning" not in run.stderr.decode()


def test_again_warns_when_it_cannot_be_the_same(tmp_path: Path) -> None:
    limner("generate", "a cat", *QUICK, "-o", "cat.png", "--local", cwd=tmp_path)
    old = (tmp_path / "cat.png").read_bytes()
    info = PngInfo()
    with PIL.Image.open(io.BytesIO(old)) as picture:
        recipe = json.loads(picture.info["limner"])
        info.add_itxt("limner", json.dumps({**recipe, "weights": "000000000000", "limner": "0.0.9"}))
        picture.save(tmp_path / "old.png", pnginfo=info)
    run = limner("again", "old.png", "--local", "-q", cwd=tmp_path)
    assert run.returncode == 0
    (warning,) = lines(run.stderr)
    assert "000000000000" in warning
    assert "0.0.9" in warning


def test_again_needs_a_recipe(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    run = limner("again", "plain.png", cwd=tmp_path)
    assert (run.returncode, run.stdout) == (2, b"")
    assert "no recipe" in run.stderr.decode()
    assert limner("again", "not-there.png", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["generate"], 2, "prompt"),
        (["generate", " "], 2, "prompt must not be empty"),
        (["generate", "a", "--size", "3x3"], 2, "64"),
        (["generate", "a", "--format", "gif"], 2, "png, jpeg, webp"),
        (["generate", "a", "-o", "a.gif"], 2, ".gif"),
        (["generate", "a", "-o", "a.png", "--format", "webp"], 2, "contradicts"),
        (["generate", "a", "-o", "no-folder/a.png"], 2, "no-folder"),
        (["generate", "a", "-o", "-", "--json"], 2, "--json"),
        (["generate", "a", "-o", "-", "-n", "2"], 2, "one picture"),
        (["generate", "a", "--local", "--server", "http://h"], 2, "--local"),
        (["generate", "a", "--server", "localhost:1337"], 2, "http://localhost:1337/v1"),
        (["generate", "a", "-m", "fluxx"], 5, "flux"),
        (["generate", "a", "--server", "http://127.0.0.1:9"], 7, "limner serve"),
        (["models", "--server", "http://127.0.0.1:9"], 7, "limner serve"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_failures_are_told_on_stderr_with_their_exit_code(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    run = limner(*arguments, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (code, b"")
    assert told in run.stderr.decode()
    assert "Traceback" not in run.stderr.decode()
    assert not list(tmp_path.glob("*.png"))


def test_models(limner_serve: Served, tmp_path: Path) -> None:
    here = json.loads(limner("models", "--json", "--local", cwd=tmp_path).stdout)
    there = json.loads(limner("models", "--json", cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url).stdout)
    assert (here["server"], there["server"]) == (None, f"{limner_serve.url}/v1")
    assert here["models"] == there["models"]
    flux = next(model for model in here["models"] if model["id"] == "flux")
    assert (flux["served_by"], flux["licence"], flux["native"]) == ("limner-mini", "Apache-2.0", "512x512")
    table = limner("models", "--local", cwd=tmp_path).stdout.decode()
    assert [row.split()[0] for row in table.splitlines()[1:]] == [model["id"] for model in here["models"]]


def test_version_and_help(tmp_path: Path) -> None:
    assert limner("--version", cwd=tmp_path).stdout.decode().split()[0] == "limner"
    for command in ("serve", "generate", "again", "models", "doctor"):
        assert command in limner("--help", cwd=tmp_path).stdout.decode()
        assert limner(command, "--help", cwd=tmp_path).returncode == 0


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    heavy = ("fastapi", "pydantic", "numpy", "onnxruntime", "PIL", "httpx2", "asyncio")
    code = f"import sys, limner.cli; print([m for m in {heavy} if m in sys.modules])"
    python = str(Path(LIMNER).with_name("python"))
    shown = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
