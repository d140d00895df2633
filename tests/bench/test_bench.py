"""The bench: honest about busy machines, medians that are medians, and processes that answer."""

import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

from bench import machine, report, run
from bench.subjects import Cost, Drawer, whole_run

WEIGHTS = pytest.mark.skipif(
    not (files("limner") / "mini" / "card.json").is_file(), reason="src/limner/mini holds no weights yet"
)


def costs(walls: Sequence[float]) -> list[Cost]:
    return [Cost(wall=wall, cpu=wall / 2) for wall in walls]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The runs of the measuring itself, which is not done here."""
    done: list[int] = []

    def pretended(peer: str | None, rounds: int, told: object) -> tuple[list[report.Row], dict[str, str]]:
        done.append(rounds)
        return [report.row("a picture", "limner", "ours", costs([10, 20, 30]))], {"limner": "0.1.0"}

    monkeypatch.setattr(run, "draw_rows", pretended)
    return done


def bench(tmp_path: Path, *more: str, busy: float) -> tuple[int, Path]:
    out = tmp_path / "result.json"
    return run.main(["--only", "draw", "--out", str(out), *more], busy=lambda: busy), out


def test_a_busy_machine_is_refused(tmp_path: Path, measured: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    code, out = bench(tmp_path, busy=0.4)
    assert (code, measured, out.exists()) == (3, [], False)
    said = capsys.readouterr().err
    assert "40%" in said
    assert "--force" in said


def test_force_measures_and_says_that_it_is_not_for_publication(
    tmp_path: Path, measured: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = bench(tmp_path, "--force", busy=0.4)
    assert (code, measured) == (0, [7])
    result = json.loads(out.read_text())
    assert result["publishable"] is False
    assert "Not for publication" in capsys.readouterr().out


@pytest.mark.usefixtures("measured")
def test_a_quiet_run_of_all_rounds_with_a_peer_may_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.Others, "share", lambda self: 0.0)
    code, out = bench(tmp_path, "--peer", "python-with-diffusers", busy=0.0)
    result = json.loads(out.read_text())
    assert (code, result["publishable"], result["objections"]) == (0, True, [])
    assert "limner" in report.page(result)


@pytest.mark.parametrize(
    ("before", "during", "rounds", "peer"), [(0.2, 0, 7, "p"), (0, 0.2, 7, "p"), (0, 0, 6, "p"), (0, 0, 7, None)]
)
def test_what_keeps_a_result_from_being_published(before: float, during: float, rounds: int, peer: str | None) -> None:
    assert len(run.objections(before, during, rounds, peer)) == 1
    assert run.objections(0, 0, 7, "p") == []


def test_a_row_is_the_median_of_its_rounds() -> None:
    row = report.row("a picture", "limner", "ours", costs([10, 20, 30, 40, 1000]))
    assert (row.wall, row.cpu, row.rounds) == (30, 15, 5)
    assert row.wall_iqr == 20


def test_the_table_compares_within_a_figure() -> None:
    rows = [
        report.row("small", "limner", "ours", costs([10])),
        report.row("small", "diffusers", "peer", costs([25])),
        report.row("large", "limner", "ours", costs([100])),
        report.row("large", "bare", "limit", costs([50])),
    ]
    lines = report.table(rows).splitlines()
    assert "2.50 x" in lines[3]
    assert "limit: bare" in lines[5]
    assert "0.50 x" in lines[5]


def test_rounds_are_interleaved_and_the_first_is_not_counted() -> None:
    order: list[str] = []

    def subject(name: str) -> run.Measure:
        def measure(number: int) -> Cost:
            order.append(name)
            return Cost(wall=number, cpu=number)

        return measure

    found = run.interleaved({name: subject(name) for name in "abc"}, 7, lambda text: None)
    assert {len(each) for each in found.values()} == {7}
    assert all(cost.wall > 0 for each in found.values() for cost in each)
    rounds = ["".join(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert {"".join(sorted(each)) for each in rounds} == {"abc"}
    assert len(set(rounds)) > 1


def test_the_machine_is_told_in_a_line() -> None:
    described = machine.describe()
    assert str(described["cores"]) in machine.line(described)


def test_others_are_seen_to_use_nothing_of_what_we_use() -> None:
    assert 0 <= machine.Others().share() <= 1


def test_a_program_that_makes_no_picture_is_an_error_and_not_a_fast_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="made no picture"):
        whole_run([sys.executable, "-c", "pass"], tmp_path)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        whole_run([sys.executable, "-c", "raise SystemExit('broken on purpose')"], tmp_path)


@WEIGHTS
@pytest.mark.parametrize("more", [[], ["--bare"]])
def test_the_measured_processes_draw(tmp_path: Path, more: list[str]) -> None:
    with Drawer([sys.executable, "-m", "bench.embedded", *more]) as drawer:
        cost = drawer.draw(size=256, steps=1, guidance=3.0, seed=7, save=str(tmp_path / "rows"))
    assert cost.wall > 0
    assert cost.cpu > 0
    assert len((tmp_path / "rows").read_bytes()) == 3 * 256 * 256


@WEIGHTS
def test_the_bare_start_makes_a_picture(tmp_path: Path) -> None:
    cost = whole_run([sys.executable, "-m", "bench.bare_start", str(tmp_path / "first.png")], tmp_path)
    assert cost.wall > 0
