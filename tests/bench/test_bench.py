"""The bench: honest about busy machines, medians that are medians, and processes that answer."""

import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from bench import arrivals, machine, report, run
from bench.plan import Plan, Result
from bench.processes import Server
from bench.report import Values
from bench.subjects import Drawer, whole_run

WEIGHTS = pytest.mark.skipif(
    not (files("limner") / "mini" / "card.json").is_file(), reason="src/limner/mini holds no weights yet"
)


def costs(*walls: float) -> list[Values]:
    return [{"wall": wall, "cpu": wall / 2} for wall in walls]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The benches that were run; none really is."""
    names: list[str] = []

    def pretended(name: str, plan: Plan) -> Result:
        names.append(name)
        rows = [report.row("a picture", "limner", "ours", costs(10, 20, 30))]
        aims = report.aim("a picture: ms", 25, lambda: report.find(rows, "a picture", "limner")["wall"], most=True)
        return Result(rows=rows, aims=aims, versions={"limner": "0.1.0"})

    monkeypatch.setattr(run, "measured", pretended)
    return names


def bench(tmp_path: Path, *more: str, busy: float) -> int:
    return run.main(["--out", str(tmp_path), *more], busy=lambda: busy)


def test_a_busy_machine_is_refused(tmp_path: Path, done: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert (bench(tmp_path, "c2", busy=0.4), done, list(tmp_path.iterdir())) == (3, [], [])
    said = capsys.readouterr().err
    assert "40%" in said
    assert "--force" in said


def test_force_measures_and_says_that_it_is_not_for_publication(
    tmp_path: Path, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (bench(tmp_path, "c2", "--force", busy=0.4), done) == (0, ["server"])
    result = json.loads((tmp_path / "server.json.tmp").read_text())
    assert result["publishable"] is False
    assert "Not for publication" in capsys.readouterr().out


def test_a_quiet_run_of_all_rounds_with_peers_may_be_published(
    tmp_path: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.Others, "share", lambda self: 0.0)
    assert bench(tmp_path, "--diffusers", "python-with-diffusers", busy=0.0) == 0
    assert done == list(run.BENCHES)
    for name in run.BENCHES:
        result = json.loads((tmp_path / f"{name}.json").read_text())
        assert (result["publishable"], result["objections"]) == (True, [])
        assert "limner" in report.page(result)


@pytest.mark.parametrize(
    ("before", "during", "more"),
    [(0.2, 0, {}), (0, 0.2, {}), (0, 0, {"rounds": 6}), (0, 0, {"diffusers": None}), (0, 0, {"smoke": True})],
)
def test_what_keeps_a_result_from_being_published(before: float, during: float, more: dict[str, object]) -> None:
    whole = {"rounds": 7, "diffusers": "python"}
    assert len(run.objections(before, during, Plan(**{**whole, **more}))) == 1  # type: ignore[arg-type]
    assert run.objections(0, 0, Plan(**whole)) == []  # type: ignore[arg-type]


def test_benches_are_chosen_by_name_or_number() -> None:
    assert run.chosen(["C2", "png"]) == ["server", "png"]
    assert run.chosen([]) == list(run.BENCHES)
    with pytest.raises(ValueError, match=r"no bench 'speed'; there are png \(c1\)"):
        run.chosen(["speed"])


def test_a_row_is_the_median_of_its_rounds() -> None:
    row = report.row("a picture", "limner", "ours", costs(10, 20, 30, 40, 1000))
    assert (row.values, row.rounds) == ({"wall": 30, "cpu": 15}, 5)
    assert row.spreads["wall"] == 20


def test_the_table_compares_within_a_figure() -> None:
    rows = [
        report.row("small", "limner", "ours", costs(10)),
        report.row("small", "diffusers", "peer", costs(25)),
        report.row("large", "limner", "ours", [{"wall": 100, "rate": 90}]),
        report.row("large", "LitServe", "peer", [{"wall": 50, "rate": 3}]),
        report.row("large", "bare", "limit", [{"wall": 50, "rate": 180}]),
    ]
    lines = report.table(rows).splitlines()
    assert "2.5 x" in lines[3]
    assert "0.5 x" in lines[5]
    # Of a rate, how many times faster ours is.
    assert "30 x" in lines[5]
    assert "limit: bare" in lines[6]


def test_an_aim_is_met_or_missed_and_says_so() -> None:
    rows = [report.row("f", "limner", "ours", costs(10)), report.row("f", "peer", "peer", costs(250))]
    (met,) = report.aim("times", 20, report.times(rows, "f", "limner", "peer", "cpu"))
    (missed,) = report.aim("ms", 8, lambda: report.find(rows, "f", "limner")["wall"], most=True)
    assert (met.got, met.met, missed.met) == (25, True, False)
    assert report.aim("not measured", 1, report.times(rows, "f", "limner", "absent", "cpu")) == []
    shown = report.aims_table([met, missed])
    assert "| times | at least 20 | 25 | met |" in shown
    assert "| ms | at most 8 | 10 | **missed** |" in shown


def test_rounds_are_interleaved_and_the_first_is_not_counted() -> None:
    order: list[str] = []

    def subject(name: str):
        def measure(number: int) -> Values:
            order.append(name)
            return {"wall": number}

        return measure

    found = Plan(rounds=7).interleaved({name: subject(name) for name in "abc"})
    assert {len(each) for each in found.values()} == {7}
    assert all(cost["wall"] > 0 for each in found.values() for cost in each)
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


def test_a_server_that_ends_before_it_is_ready_is_an_error_with_what_it_said() -> None:
    with (
        pytest.raises(RuntimeError, match="broken on purpose"),
        Server([sys.executable, "-c", "raise SystemExit('broken on purpose')"]),
    ):
        pass


def test_the_simulated_optimum_joins_at_a_step() -> None:
    # Two at once take as long as one: the second comes half-way through the first and leaves half a second later.
    waits, seconds = arrivals.simulated([0.0, 0.5], [1.0, 1.0], steps=10)
    assert waits == pytest.approx([1.0, 1.0])
    assert seconds == pytest.approx(1.5)
    # One at a time, the second waits for the first.
    waits, seconds = arrivals.simulated([0.0, 0.5], [1.0], steps=10)
    assert waits == pytest.approx([1.0, 1.5])


@WEIGHTS
@pytest.mark.parametrize("more", [[], ["--bare"]])
def test_the_measured_processes_draw(tmp_path: Path, more: list[str]) -> None:
    with Drawer([sys.executable, "-m", "bench.embedded", *more]) as drawer:
        cost = drawer.draw(size=256, steps=1, guidance=3.0, seed=7, save=str(tmp_path / "rows"))
    assert cost["wall"] > 0
    assert cost["cpu"] > 0
    assert len((tmp_path / "rows").read_bytes()) == 3 * 256 * 256


@WEIGHTS
@pytest.mark.parametrize("name", [name for name in run.BENCHES if name not in ("draw", "repeats")])
def test_every_bench_has_a_form_of_seconds(tmp_path: Path, name: str) -> None:
    """Without peers, on however busy a machine: that it runs and finds ours and the limit, not what it measures."""
    assert run.main([name, "--smoke", "--out", str(tmp_path)], busy=lambda: 1.0) == 0
    result = json.loads((tmp_path / f"{name}.json.tmp").read_text())
    rows, _ = report.read(result)
    assert "ours" in {row.role for row in rows}
    assert all(row.values for row in rows)
