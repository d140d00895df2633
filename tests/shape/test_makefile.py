"""The commands of the README: what they say they do, and that a second run starts at once."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Not as a child of the make that runs the tests.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_every_command_is_in_the_help() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    shown = make("help").stdout
    # The parts of `make test` are not commands of their own.
    assert [name for name in phony[1].split() if f"make {name} " not in shown] == ["test-core", "test-parity"]


def test_serve_starts_the_server_with_the_options_given() -> None:
    shown = make("--dry-run", "serve", "ARGS=--port 8080")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip().splitlines()[-1].endswith(".venv/bin/limner serve --port 8080")


def test_a_second_run_installs_nothing() -> None:
    if not (ROOT / ".venv" / ".dev").exists():
        pytest.skip("this environment was not set up by make")
    assert make("--question", ".venv/.dev").returncode == 0
    assert "pip" not in make("--dry-run", "serve").stdout


def test_ci_runs_what_developers_run() -> None:
    assert "exec make test" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize(("answer", "code"), [("exit 0", 0), ("exit 1", 1)])
def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path, answer: str, code: int) -> None:
    """`tools/python` asks each candidate its version and believes the answer, not the name."""
    for name in ("python3.11", "python3", "python3.12", "python3.13", "python3.14"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / name).chmod(0o755)
    shown = subprocess.run(
        ["/bin/sh", str(ROOT / "tools" / "python")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == code
    assert (shown.stdout.strip() == str(tmp_path / "python3.11")) is (code == 0)
    assert ("needs Python 3.11" in shown.stderr) is (code == 1)
