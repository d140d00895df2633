"""Every block of code in the README and in docs/ does what the text says.

`python` and `bash` blocks run, each in a process of its own, in the order of their page and in one folder, with a
server running where they expect one. `json` and `toml` blocks must parse. A block is left out only by a comment before
it that says why (`<!-- skip: reason -->`), or where a program that it needs is not there (`<!-- needs: curl -->`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import LIMNER, PATIENCE, ROOT, environment, serving

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "bench/README.md", "src/limner/engines/README.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"(?:^<!-- (skip|needs): ([^\n]+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Shown, not run: what a program prints.
SHOWN = {"text"}
ADDRESS = "localhost:1337"


@dataclass(frozen=True)
class Block:
    """A fenced block and the comment before it."""

    marker: str
    reason: str
    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1] or "", match[2] or "", match[3], match[4], text[: match.start(3)].count("\n") + 1)
        for match in BLOCK.finditer(text)
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `limner serve`."""
    with serving([LIMNER, "serve", "--port", "0"], tmp_path_factory.mktemp("served")) as served:
        yield served.url


def run(block: Block, folder: Path, url: str) -> None:
    """Run a block; what it wrote is in the failure."""
    if block.language == "json":
        json.loads(block.code)
        return
    if block.language == "toml":
        tomllib.loads(block.code)
        return
    code = block.code.replace(ADDRESS, url.removeprefix("http://").replace("127.0.0.1", "localhost"))
    command = [sys.executable, "-c", code] if block.language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = environment(folder, LIMNER_BASE_URL=f"{url}/v1", PATH=path)
    shown = subprocess.run(command, cwd=folder, env=env, capture_output=True, timeout=PATIENCE, check=False)
    said = (shown.stdout + shown.stderr).decode(errors="replace")
    assert shown.returncode == 0, f"line {block.line} ended with {shown.returncode}:\n{block.code}\n{said[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_examples_work(page: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # For `make help`.
    shutil.copy(ROOT / "Makefile", tmp_path)
    for block in blocks(page):
        lacking = [name for name in block.reason.split() if not shutil.which(name)] if block.marker == "needs" else []
        if block.language in SHOWN or block.marker == "skip" or lacking:
            continue
        run(block, tmp_path, request.getfixturevalue("url"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_says_what_it_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = blocks(page)
    assert text.count("\n```") == 2 * len(found), "a block is not closed, or is indented"
    strange = [
        (block.line, block.language)
        for block in found
        if block.language not in {"python", "bash", "json", "toml", *SHOWN}
    ]
    assert not strange
    assert all(len(block.reason) > 20 for block in found if block.marker == "skip"), "a skip needs its reason"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def test_a_wrong_example_would_be_found(tmp_path: Path) -> None:
    """The guard itself: a block that fails is a failure, whatever its language."""
    for language, code in (("python", "raise SystemExit(1)"), ("bash", "false; true"), ("json", "{"), ("toml", "=")):
        with pytest.raises((AssertionError, ValueError)):
            run(Block("", "", language, code, 1), tmp_path, "http://127.0.0.1:9")


def test_the_readme_holds_the_script_as_it_was_asked_for() -> None:
    script = (
        "import requests\n"
        'url = "http://localhost:1337/v1/images/generations"\n'
        'body = {"model": "flux", "prompt": "hello world user", "response_format": None}'
    )
    assert script in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_screen_shows_a_picture_and_the_command() -> None:
    first = (ROOT / "README.md").read_text(encoding="utf-8")[:1500]
    assert "](docs/images/first.png)" in first
    assert "make serve" in first
    assert "requests.post" in first
