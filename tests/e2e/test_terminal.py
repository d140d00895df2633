"""`limner generate` in a terminal: a real pseudo-terminal as its standard output and error."""

import contextlib
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.processes import LIMNER, PATIENCE, Served, environment

QUICK = ("generate", "a cat", "--steps", "1", "--seed", "7")


def in_terminal(*arguments: str, cwd: Path, **variables: str) -> tuple[int, str]:
    """Exit code, and all that came to the terminal."""
    outer, inner = pty.openpty()
    run = subprocess.Popen(
        [LIMNER, *arguments],
        cwd=cwd,
        env=environment(cwd, LANG="C.UTF-8", COLUMNS="60", LINES="24", **variables),
        stdin=subprocess.DEVNULL,
        stdout=inner,
        stderr=inner,
    )
    os.close(inner)
    shown = b""
    # Linux says EIO, others end, when the last writer is gone.
    with contextlib.suppress(OSError):
        while piece := os.read(outer, 65536):
            shown += piece
    os.close(outer)
    return run.wait(PATIENCE), shown.decode()


@pytest.mark.parametrize(
    ("variables", "mark"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "\x1b[38;2;"),
        ({"TERM": "xterm-256color"}, "\x1b[38;5;"),
        ({"TERM": "xterm-kitty"}, "\x1b_Ga=T,f=100,"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "\x1b]1337;File=inline=1;"),
    ],
)
def test_the_picture_is_shown(limner_serve: Served, tmp_path: Path, variables: dict[str, str], mark: str) -> None:
    code, shown = in_terminal(*QUICK, cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url, **variables)
    assert code == 0
    assert mark in shown
    assert "cat-7.png" in shown.splitlines()
    assert (tmp_path / "cat-7.png").exists()


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {"TERM": "dumb"}),
        ([], {"TERM": "xterm-256color", "NO_COLOR": "1"}),
        (["-q"], {"TERM": "xterm-256color"}),
        (["--json"], {"TERM": "xterm-256color"}),
    ],
)
def test_no_picture_where_none_is_wanted(
    limner_serve: Served, tmp_path: Path, arguments: list[str], variables: dict[str, str]
) -> None:
    code, shown = in_terminal(*QUICK, *arguments, cwd=tmp_path, LIMNER_BASE_URL=limner_serve.url, **variables)
    assert code == 0
    assert "▀" not in shown
    assert "\x1b_G" not in shown
    assert "cat-7.png" in shown


def test_progress_is_shown_with_its_steps(tmp_path: Path) -> None:
    code, shown = in_terminal("generate", "a cat", "--steps", "12", "--local", cwd=tmp_path, TERM="xterm-256color")
    assert code == 0
    assert "Drawing" in shown
    assert "/12" in shown


def test_a_picture_is_not_poured_into_the_terminal(tmp_path: Path) -> None:
    code, shown = in_terminal(*QUICK, "-o", "-", cwd=tmp_path, TERM="xterm-256color")
    assert code == 2
    assert "terminal" in shown
    assert "PNG" not in shown
