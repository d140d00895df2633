"""Where the command line puts pictures: files with telling names, standard output, the terminal."""

import itertools
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limner.errors import InvalidRequestError, StorageError
from limner.picture import SUFFIXES, Picture

# Characters of the prompt that go into a file's name.
MAX_NAME = 40
STDOUT = "-"


def output_format(output: str | None, named: str | None, count: int) -> str | None:
    """The format that `-o` and `--format` ask for together; None where neither does.

    Raises:
        InvalidRequestError: they contradict each other, or the output cannot take so many pictures.
    """
    if output is None:
        return named
    if output == STDOUT:
        if count != 1:
            raise InvalidRequestError("-o - takes one picture: leave -n out, or name a file.", param="output")
        if sys.stdout.isatty():
            raise InvalidRequestError(
                "-o - would write a picture to the terminal: pipe it on, or name a file.", param="output"
            )
        return named
    path = Path(output)
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        raise InvalidRequestError(f"The folder {folder} is not there: make it first.", param="output")
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return named
    if suffix not in SUFFIXES:
        raise InvalidRequestError(
            f"{suffix} is not a format of pictures here; take {', '.join(SUFFIXES)}.", param="output"
        )
    if named and SUFFIXES[suffix] != named.replace("jpg", "jpeg"):
        raise InvalidRequestError(f"--format {named} contradicts the name {path.name}: say one.", param="format")
    return SUFFIXES[suffix]


def save(pictures: Sequence[Picture], prompt: str, output: str | None) -> list[Path]:
    """Write the pictures as files; the paths.

    A file that `output` names is written over. All other names are made up, from the prompt and the seed or from
    `output` with a number, and are new.

    Raises:
        StorageError: a file cannot be written.
    """
    paths: list[Path] = []
    for index, picture in enumerate(pictures):
        named = Path(output) if output else Path()
        try:
            if output and not named.is_dir() and index == 0:
                paths.append(picture.save(named))
                continue
            if named.is_dir():
                named = named / f"{_stem(prompt, picture.seed)}.{picture.format}"
            paths.append(_write_new(named, picture.bytes))
        except OSError as error:
            raise StorageError(f"{named} cannot be written: {error.strerror}.") from error
    return paths


def _stem(prompt: str, seed: int | None) -> str:
    words = re.sub(r"^(a|an|the)\s+(?=\S)", "", prompt.strip().lower())
    slug = re.sub(r"[\W_]+", "-", words)[:MAX_NAME].strip("-") or "picture"
    return slug if seed is None else f"{slug}-{seed}"


def _write_new(path: Path, data: bytes) -> Path:
    """Write to `path`, or to the first of path-2, path-3 ... that is not there."""
    for number in itertools.count(1):
        free = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            with free.open("xb") as file:
                file.write(data)
        except FileExistsError:
            continue
        return free
    raise AssertionError("unreachable")


def say(text: str) -> None:
    """A line on standard output, at once, so that a closed pipe is noticed here."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say_json(what: object) -> None:
    """A JSON document on standard output. ASCII, so that it reads the same in every locale."""
    say(json.dumps(what, indent=2))


def table(rows: Sequence[tuple[str, ...]]) -> None:
    """Rows of cells on standard output, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def note(text: str) -> None:
    """A line on standard error, for people."""
    sys.stderr.write(f"{text}\n")


def pipe(data: bytes) -> None:
    """The file itself on standard output."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def describe(picture: Picture, path: Path) -> dict[str, Any]:
    """A saved picture, for JSON."""
    size = {"width": picture.size.width, "height": picture.size.height}
    return {"path": str(path), "seed": picture.seed, **size, "format": picture.format, "bytes": len(picture.bytes)}


def show(pictures: Sequence[Picture]) -> None:
    """The pictures in the terminal, where standard output is one that can show them."""
    from limner import terminal

    how = terminal.protocol(os.environ) if sys.stdout.isatty() else ""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    if not how or (how in ("truecolor", "256") and encoding != "utf8"):
        return
    cells = shutil.get_terminal_size()
    for picture in pictures:
        sys.stdout.write(terminal.draw(picture.bytes, how, columns=cells.columns, lines=cells.lines))
    sys.stdout.flush()
