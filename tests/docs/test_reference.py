"""The generated pages and the README's tables say what the code says now."""

import subprocess
import sys

from limner import errors
from limner.server.fields import FIELDS
from limner.settings import Settings
from tests.processes import ROOT
from tools import reference


def test_nothing_is_stale() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tools.reference", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr


def test_every_error_setting_and_field_is_documented() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LimnerError)]
    assert [kind.__name__ for kind in kinds[1:] if f"`{kind.__name__}`" not in reference.errors_page()] == []
    assert [row.variable for row in Settings.describe() if f"`{row.variable}`" not in reference.settings_table()] == []
    assert [field.name for field in FIELDS if f"`{field.name}`" not in reference.request_page()] == []


def test_a_stale_part_is_replaced_and_nothing_else() -> None:
    text = "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n"
    new = reference.filled(text, "figures", "new \\1")
    assert new == "before\n<!-- figures -->\n\nnew \\1\n<!-- /figures -->\nafter\n"
    assert reference.filled(new, "figures", "new \\1") == new
