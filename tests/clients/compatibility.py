"""Writes docs/reference/compatibility.md from a run of tests/clients.

python -m tests.clients.compatibility           run every client and write the page; nothing is written if one fails
python -m tests.clients.compatibility --check   run nothing: compare the page with the tests and the locks as they are

A test says which row it proves by `@pytest.mark.shows(client, what, result="works", version="")`; several tests may
prove one row. The version is that of the lock that the client is installed from.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from tests.processes import ROOT
from tools.reference import MADE, table

PAGE = ROOT / "docs" / "reference" / "compatibility.md"
NODE = ROOT / "tests" / "clients" / "node" / "package.json"


def locked(lock: str, package: str) -> str:
    """The version that a lock of requirements/ pins."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    match = re.search(rf"^{re.escape(package)}==([^ ;\\]+)", text, re.MULTILINE)
    assert match, f"{package} is not in {lock}.txt"
    return match[1]


def npm(package: str) -> str:
    """The version that tests/clients/node/package.json names."""
    return json.loads(NODE.read_text(encoding="utf-8"))["dependencies"][package]


# In the order of the page.
PACKAGES: Mapping[str, Callable[[], str]] = {
    "openai (Python)": lambda: locked("dev", "openai"),
    "openai (Node)": lambda: npm("openai"),
    "AI SDK, @ai-sdk/openai": lambda: f"{npm('@ai-sdk/openai')}, ai {npm('ai')}",
    "AI SDK, @ai-sdk/openai-compatible": lambda: f"{npm('@ai-sdk/openai-compatible')}, ai {npm('ai')}",
    "litellm": lambda: f"{locked('clients', 'litellm')}, openai {locked('clients', 'openai')}",
    "langchain-community": lambda: f"{locked('clients', 'langchain-community')}, openai {locked('clients', 'openai')}",
    "huggingface_hub": lambda: locked("dev", "huggingface-hub"),
    "curl": lambda: "the system's",
}


@dataclass
class Row:
    """One line of the page, and the tests that prove it."""

    result: str
    version: str
    tests: set[str] = field(default_factory=set)


class Rows:
    """A pytest plugin that keeps what `shows` says, and which tests did not pass."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Row] = {}
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            for mark in item.iter_markers("shows"):
                client, what = mark.args
                row = Row(mark.kwargs.get("result", "works"), mark.kwargs.get("version", ""))
                self.rows.setdefault((client, what), row).tests.add(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid)
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)

    def unproved(self) -> list[str]:
        """Tests behind a row that failed, were skipped or did not run."""
        proofs = set[str]().union(*(row.tests for row in self.rows.values()))
        return sorted(proofs - self.passed | proofs & self.failed)


def page(rows: Mapping[tuple[str, str], Row]) -> str:
    """The page."""
    order = list(PACKAGES)
    installed = sorted((pair for pair in rows if not rows[pair].version), key=lambda pair: order.index(pair[0]))
    replayed = [pair for pair in rows if rows[pair].version]
    return (
        MADE.format(source="tests/clients").replace("make docs", "make compatibility")
        + "# Compatibility\n\nEach line is proved by a test in `tests/clients` that `make test` runs. Only the base "
        "URL and the key were changed.\n\n## Packages\n\nThe packages themselves, each driving a server process: "
        "`limner serve` with the embedded model, but for openai (Python), whose many calls go to the "
        "same server before an engine without a model.\n\n"
        + table(
            ("client", "version", "what was done", "result"),
            [(client, PACKAGES[client](), what, rows[client, what].result) for client, what in installed],
        )
        + "\n## Requests\n\nWhat clients send, byte for byte, also of those that cannot be installed beside the "
        "tests. The version is that of the source that the request was read from, as a release, a commit or a day.\n\n"
        + table(
            ("client", "version", "what it needs", "result"),
            [(client, rows[client, what].version, what, rows[client, what].result) for client, what in replayed],
        )
    )


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    rows = Rows()
    check = "--check" in arguments
    options = ["--collect-only", "-qq"] if check else ["-q"]
    code = pytest.main([*options, "-p", "no:cacheprovider", str(ROOT / "tests" / "clients")], plugins=[rows])
    if code:
        return int(code)
    if check:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page(rows.rows):
            return 0
        print("docs/reference/compatibility.md is stale; run make compatibility", file=sys.stderr)
        return 1
    if unproved := rows.unproved():
        print("nothing was written, since these did not run or did not pass:", *unproved, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(page(rows.rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
