"""docs/reference/compatibility.md says what the tests of the clients prove, with the versions of the locks."""

import subprocess
import sys

from tests.clients.compatibility import Row, Rows, page
from tests.processes import ROOT


def test_the_page_is_not_stale() -> None:
    command = [sys.executable, "-m", "tests.clients.compatibility", "--check"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr + shown.stdout[-2000:]


def test_a_row_whose_test_did_not_pass_is_not_written() -> None:
    rows = Rows()
    rows.rows = {("curl", "generate"): Row("works", "", {"one", "two"})}
    rows.passed = {"one"}
    assert rows.unproved() == ["two"]
    rows.passed = {"one", "two"}
    assert rows.unproved() == []
    rows.failed = {"two"}
    assert rows.unproved() == ["two"]


def test_a_replayed_request_is_not_told_as_the_package() -> None:
    rows = {("litellm", "generate"): Row("works", ""), ("litellm", "E1"): Row("works", "0.1")}
    packages, _, requests = page(rows).partition("## Requests")
    assert "generate" in packages
    assert "E1" not in packages
    assert "| litellm | 0.1 | E1 | works |" in requests


def test_the_clients_stand_in_the_order_of_the_page_whatever_ran_first() -> None:
    rows = {("curl", "b"): Row("works", ""), ("Open WebUI", "c"): Row("works", "1"), ("litellm", "a"): Row("works", "")}
    text = page(rows)
    assert text.index("| litellm |") < text.index("| curl |") < text.index("| Open WebUI |")
