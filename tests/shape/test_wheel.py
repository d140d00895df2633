"""The wheel as a user gets it: what is in it, and that it works away from the repository."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MEGABYTES = 64


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    return zipfile.ZipFile(wheel).namelist()


def test_it_holds_the_package_and_nothing_else(names: list[str]) -> None:
    strange = [name for name in names if not name.startswith(("limner/", "limner-0"))]
    assert strange == []


def test_it_holds_every_file_of_the_package(names: list[str]) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "src/limner"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    wanted = {line.removeprefix("src/") for line in listed.stdout.split("\0") if line and (ROOT / line).is_file()}
    assert wanted - set(names) == set()


def test_it_holds_the_model(names: list[str]) -> None:
    graphs = sorted(path.name for path in (ROOT / "src/limner/mini").iterdir() if path.is_file())
    if not [graph for graph in graphs if graph.endswith(".onnx")]:
        pytest.skip("src/limner/mini holds no weights yet")
    assert {f"limner/mini/{graph}" for graph in graphs} <= set(names)


def test_nothing_in_it_runs_by_itself_or_was_compiled(names: list[str]) -> None:
    # A .pth file runs at every start of Python: the hook of the package thefts of 2026.
    bad = [name for name in names if name.endswith((".pth", ".so", ".pyd", ".dll", ".pyc", ".pt", ".bin", ".pkl"))]
    assert bad == []


def test_it_carries_the_licences(names: list[str]) -> None:
    assert [n.rsplit("/", 1)[1] for n in names if "/licenses/" in n] == ["LICENSE", "NOTICE"]


def test_it_is_small_enough_to_fetch(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_MEGABYTES * 1e6


def test_it_works_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        "import limner, sys, pathlib\n"
        "from limner.registry import load_engine\n"
        "print(pathlib.Path(limner.__file__).parent)\n"
        "print([card.id for card in load_engine('mini').cards()])\n"
    )
    if not list((ROOT / "src/limner/mini").glob("*.onnx")):
        code = "\n".join(code.splitlines()[::2])
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    assert lines[0] == str(tmp_path / "site" / "limner")
    assert lines[1:] in ([], ["['limner-mini']"])
