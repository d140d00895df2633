"""Pictures as text: which way a terminal is spoken to, and that what is said is the picture."""

import base64
import io
import re
from typing import Any

import PIL.Image
import pytest

from limner import terminal

KITTY = {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}
COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def encoded(picture: PIL.Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("environment", "how"),
    [
        ({}, ""),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, ""),
        ({"TERM": "linux"}, ""),
        ({"TERM": "xterm-256color"}, "256"),
        (COLOURS, "truecolor"),
        ({"TERM": "xterm-direct"}, "truecolor"),
        (KITTY, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({**COLOURS, "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({**COLOURS, "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({**COLOURS, "LC_TERMINAL": "iTerm2"}, "iterm"),
        # In a multiplexer the outer terminal's variables are still there.
        ({**KITTY, **COLOURS, "TMUX": "/tmp/t,1,0"}, "truecolor"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, "256"),
        ({**COLOURS, "NO_COLOR": "1"}, ""),
        ({**KITTY, "NO_COLOR": "1"}, ""),
        # The convention: only a value that is not empty counts.
        ({**COLOURS, "NO_COLOR": ""}, "truecolor"),
    ],
)
def test_the_terminal_is_known_by_its_variables(environment: dict[str, str], how: str) -> None:
    assert terminal.protocol(environment) == how


def test_half_blocks_have_the_colours_of_the_picture() -> None:
    picture = PIL.Image.new("RGB", (8, 8), (255, 0, 0))
    picture.paste((0, 0, 255), (0, 4, 8, 8))
    text = terminal.draw(encoded(picture), "truecolor", columns=8, lines=40)
    rows = text.splitlines()
    assert [row.count("▀") for row in rows] == [8] * 4
    assert rows[0].startswith("\x1b[38;2;255;0;0;48;2;255;0;0m")
    assert rows[-1].startswith("\x1b[38;2;0;0;255;48;2;0;0;255m")
    assert all(row.endswith("\x1b[0m") for row in rows)


@pytest.mark.parametrize(
    ("colour", "number"),
    [((255, 0, 0), 196), ((255, 255, 255), 231), ((0, 0, 0), 16), ((128, 128, 128), 244), ((95, 135, 175), 67)],
)
def test_256_colours_are_the_nearest(colour: tuple[int, int, int], number: int) -> None:
    text = terminal.draw(encoded(PIL.Image.new("RGB", (2, 2), colour)), "256", columns=2, lines=10)
    assert text.startswith(f"\x1b[38;5;{number};48;5;{number}m▀")


@pytest.mark.parametrize("size", [(512, 512), (2048, 64), (64, 2048), (1, 1)])
@pytest.mark.parametrize("window", [(80, 24), (20, 50), (1, 1)])
def test_it_fits_the_window(size: tuple[int, int], window: tuple[int, int]) -> None:
    columns, lines = window
    text = terminal.draw(encoded(PIL.Image.new("RGB", size)), "truecolor", columns=columns, lines=lines)
    rows = text.splitlines()
    assert 1 <= len(rows) <= max(1, lines - 2)
    assert 1 <= rows[0].count("▀") <= columns


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_kitty_gets_the_whole_picture_in_pieces(kind: str) -> None:
    picture = PIL.Image.effect_noise((300, 300), 80).convert("RGB")
    text = terminal.draw(encoded(picture, kind), "kitty", columns=80, lines=24)
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert text == "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in pieces) + "\n"
    assert all(len(data) <= 4096 for _, data in pieces)
    assert [keys.endswith("m=1") for keys, _ in pieces] == [True] * (len(pieces) - 1) + [False]
    got = PIL.Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in pieces))))
    assert (got.format, got.size) == ("PNG", (300, 300))
    if kind == "PNG":
        assert got.tobytes() == picture.tobytes()


def test_iterm_gets_the_file_itself() -> None:
    data = encoded(PIL.Image.new("RGB", (64, 32)), "WEBP")
    text = terminal.draw(data, "iterm", columns=80, lines=24)
    found: Any = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);width=64;height=16:(.*)\a\n", text)
    assert int(found[1]) == len(data)
    assert base64.b64decode(found[2]) == data


def test_nothing_is_drawn_where_nothing_can_be() -> None:
    assert terminal.draw(b"not even a picture", "", columns=80, lines=24) == ""
