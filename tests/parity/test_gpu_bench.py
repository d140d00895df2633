"""The bench for a GPU, in its small form: it runs to its end on a processor, and says that its figures say nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

ROOT = Path(__file__).parents[2]


def test_the_small_form_measures_every_group(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    command = [sys.executable, "-m", "bench.gpu", "--small", "--out", str(out)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert "figures say nothing" in shown.stdout
    told = json.loads(out.read_text())
    assert told["small"] is True
    assert {row["figure"][:2] for row in told["rows"]} == {"G0", "G1", "G3", "G4", "G5", "G6", "G7", "G8"}
    forms = {row["subject"] for row in told["rows"] if row["figure"].startswith("G1")}
    assert forms == {"diffusers eager", "diffusers fused", "diffusers compiled"}
    assert all(row["values"]["wall"] > 0 for row in told["rows"])


def test_without_a_gpu_the_whole_form_is_refused() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    shown = subprocess.run([sys.executable, "-m", "bench.gpu"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 2
    assert "--small" in shown.stderr
