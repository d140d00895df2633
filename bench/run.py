"""`make bench`: every figure that the README quotes, ours beside a peer and beside the limit, in one run.

    python -m bench.run [--rounds 7] [--peer .venv-parity/bin/python] [--force] [--only draw|start]

Exit codes: 0 measured; 3 refused because the machine is busy (--force measures all the same and marks the result).
The method is in bench/README.md.
"""

import argparse
import contextlib
import datetime
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.subjects import ROOT, Cost, Drawer, first_answer, whole_run

RESULTS = ROOT / "bench" / "results"
MIN_ROUNDS = 7
REFUSED = 3
# The card's own: what a request that says nothing gets.
STEPS, GUIDANCE = 16, 3.0
Measure = Callable[[int], Cost]


def interleaved(subjects: dict[str, Measure], rounds: int, told: Callable[[str], None]) -> dict[str, list[Cost]]:
    """Each subject once a round, in a new order each round, after one round that is not counted."""
    order = random.Random(1)
    costs: dict[str, list[Cost]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name in order.sample(list(subjects), len(subjects)):
            cost = subjects[name](number)
            if number:
                costs[name].append(cost)
        told(f"round {number} of {rounds}" if number else "warmed up")
    return costs


def draw_rows(peer: str | None, rounds: int, told: Callable[[str], None]) -> tuple[list[report.Row], dict[str, str]]:
    """One picture by engines that are loaded already."""
    rows: list[report.Row] = []
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        mine = stack.enter_context(Drawer([sys.executable, "-m", "bench.embedded"]))
        limit = stack.enter_context(Drawer([sys.executable, "-m", "bench.embedded", "--bare"]))
        theirs = stack.enter_context(Drawer([peer, "-m", "bench.peer"])) if peer else None
        for size in (256, 512):
            wish = {"size": size, "steps": STEPS, "guidance": GUIDANCE}
            subjects: dict[str, Measure] = {"ours": _drawing(mine, wish), "limit": _drawing(limit, wish)}
            if theirs is not None:
                subjects["same"] = _drawing(theirs, wish | {"native": 256})
                if size != 256:
                    subjects["native"] = _drawing(theirs, wish | {"native": size})
            told(f"a picture of {size}x{size}")
            costs = interleaved(subjects, rounds, told)
            rows += _draw_figure(size, costs, _difference(mine, theirs, wish, Path(folder)) if theirs else None)
        versions = {**mine.facts, **(theirs.facts if theirs else {})}
    return rows, {name: str(value) for name, value in versions.items()}


def _drawing(drawer: Drawer, wish: dict[str, Any]) -> Measure:
    return lambda number: drawer.draw(**wish, seed=number)


def _draw_figure(size: int, costs: dict[str, list[Cost]], difference: int | None) -> list[report.Row]:
    figure, resampled = f"{size}x{size} picture", size != 256
    about = "drawn at 256x256 and resampled" if resampled else ""
    rows = [report.row(figure, "limner-mini, onnxruntime", "ours", costs["ours"], about)]
    if "same" in costs:
        note = f"{about}; " if about else ""
        note += f"the same weights, seed, steps and size; largest difference from our picture {difference}/255"
        subject = "diffusers eager, 256x256 resampled" if resampled else "diffusers eager"
        rows.append(report.row(figure, subject, "peer", costs["same"], note))
    if "native" in costs:
        note = "denoised at this size: more work, another picture, and not what our engine does"
        rows.append(report.row(figure, f"diffusers eager, denoised at {size}x{size}", "peer", costs["native"], note))
    rows.append(report.row(figure, "the graphs alone in onnxruntime", "limit", costs["limit"]))
    return rows


def _difference(mine: Drawer, theirs: Drawer, wish: dict[str, Any], folder: Path) -> int:
    """The largest difference of a channel between our picture and the peer's, 0..255."""
    import numpy as np

    mine.draw(**wish, seed=7, save=str(folder / "ours.rgb"))
    theirs.draw(**wish, seed=7, native=256, save=str(folder / "theirs.rgb"))
    ours, peer = (np.fromfile(folder / f"{name}.rgb", np.uint8).astype(int) for name in ("ours", "theirs"))
    return int(abs(ours - peer).max())


def start_rows(peer: str | None, rounds: int, told: Callable[[str], None]) -> list[report.Row]:
    """From the start of a process to its first picture."""
    limner = str(Path(sys.executable).parent / "limner")
    figure = "process start to first picture"
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), str(Path(name) / "first.png")
        local = [limner, "generate", "a red apple", "--local", "--seed", "7", "-o", out]
        subjects: dict[str, Measure] = {
            "ours": lambda _: whole_run(local, folder),
            "serve": lambda _: first_answer([limner, "serve"], folder / "pictures"),
            "limit": lambda _: whole_run([sys.executable, "-m", "bench.bare_start", out], folder),
        }
        if peer:
            subjects["peer"] = lambda _: whole_run([peer, "-m", "bench.peer", "--once", out], folder)
        told(figure)
        costs = interleaved(subjects, rounds, told)
    rows = [
        report.row(figure, "limner generate --local, to its end", "ours", costs["ours"]),
        report.row(figure, "limner serve, to its first answer", "also ours", costs["serve"], "CPU: to its end"),
    ]
    if peer:
        rows.append(report.row(figure, "a diffusers script, to its end", "peer", costs["peer"]))
    rows.append(report.row(figure, "onnxruntime alone: load, draw, save", "limit", costs["limit"]))
    return rows


def objections(before: float, during: float, rounds: int, peer: str | None) -> list[str]:
    """Why these figures may not be published; empty when they may."""
    found = []
    if before > machine.BUSY:
        found.append(f"Other programs used {before:.0%} of the machine before the start.")
    if during > machine.BUSY:
        found.append(f"Other programs used {during:.0%} of the machine while it was measured.")
    if rounds < MIN_ROUNDS:
        found.append(f"{rounds} rounds are fewer than {MIN_ROUNDS}.")
    if peer is None:
        found.append("No peer was measured beside it.")
    return found


def measure(args: argparse.Namespace, before: float, told: Callable[[str], None]) -> dict[str, Any]:
    """Run everything that was asked for; what goes into the JSON file."""
    others = machine.Others()
    rows, versions = draw_rows(args.peer, args.rounds, told) if args.only != "start" else ([], {})
    if args.only != "draw":
        rows += start_rows(args.peer, args.rounds, told)
    during = others.share()
    found = objections(before, during, args.rounds, args.peer)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "publishable": not found,
        "objections": found,
        "others": round(during, 4),
        "rounds": args.rounds,
        "machine": machine.describe(),
        "versions": versions,
        "commit": _commit(),
        "rows": report.as_json(rows),
    }


def _commit() -> str:
    shown = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="bench.run", description="Measure every figure that the README quotes.")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--peer", help="a Python that has diffusers; without it no peer is measured")
    parser.add_argument("--only", choices=("draw", "start"), help="these figures only")
    parser.add_argument("--out", type=Path, help="the JSON file to write, else bench/results/DATE.json")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine; the result says so")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None, *, busy: Callable[[], float] = machine.busy_before) -> int:
    """Measure, print the table, write the JSON; the exit code."""
    args = parse(arguments)
    before = busy()
    if before > machine.BUSY and not args.force:
        print(
            f"Refused: other programs use {before:.0%} of this machine and {machine.BUSY:.0%} is the limit, so the "
            "figures would be theirs as much as ours. Stop them, or measure all the same with --force "
            "(make bench ARGS=--force); the result then says that it is not for publication.",
            file=sys.stderr,
        )
        return REFUSED
    result = measure(args, before, lambda text: print(f"  {text}", file=sys.stderr, flush=True))
    # A result that may not be published is not kept beside those that may.
    suffix = ".json" if result["publishable"] else ".json.tmp"
    out: Path = args.out or RESULTS / f"{result['date']}{suffix}"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(report.page(result))
    print(f"\nWritten to {out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
