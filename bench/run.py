"""`make bench`: every figure that the documentation quotes, ours beside a peer and beside the limit.

    python -m bench.run [NAME...] [--rounds 7] [--diffusers .venv-parity/bin/python] [--force] [--smoke]

NAME: one of `BENCHES`, or its number (c2); none means all. Each bench writes bench/results/NAME.json. Exit codes: 0
measured; 1 a bench failed, the others went on; 3 refused because the machine is busy (--force measures all the same and
marks the result). The method is in bench/README.md.
"""

import argparse
import datetime
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import machine, report
from bench.plan import MIN_ROUNDS, Plan, Result
from bench.subjects import ROOT

RESULTS = ROOT / "bench" / "results"
REFUSED = 3
# By name: the number, the title, and about how many seconds it takes on two quiet cores.
BENCHES: dict[str, tuple[str, str, int]] = {
    "png": ("c1", "A picture of 1024x1024 to a PNG file", 90),
    "server": ("c2", "What a server costs around the model", 240),
    "repeats": ("c3", "The same request again", 30),
    "draw": ("c7", "One picture by an engine that is loaded", 30),
    "together": ("c7b", "Several pictures at once", 60),
    "start": ("c8", "The first picture", 300),
    "arrivals": ("c10", "Requests that come when they come", 240),
    "cancel": ("c11", "A client that hangs up", 60),
    "client": ("c13", "The client", 60),
    "weight": ("c15", "Imports and installations", 120),
}


def measured(name: str, plan: Plan) -> Result:
    """Run one bench."""
    return importlib.import_module(f"bench.{name}").measure(plan)


def objections(before: float, during: float, plan: Plan) -> list[str]:
    """Why these figures may not be published; empty when they may."""
    found = []
    if before > machine.BUSY:
        found.append(f"Other programs used {before:.0%} of the machine before the start.")
    if during > machine.BUSY:
        found.append(f"Other programs used {during:.0%} of the machine while it was measured.")
    if plan.rounds < MIN_ROUNDS:
        found.append(f"{plan.rounds} rounds are fewer than {MIN_ROUNDS}.")
    if plan.smoke:
        found.append("This was the smoke form.")
    if plan.diffusers is None:
        found.append("diffusers was not measured beside it.")
    return found


def keep(name: str, plan: Plan, before: float, folder: Path) -> dict[str, Any]:
    """Measure one bench and write its file; what is in it."""
    plan.told(f"{BENCHES[name][0]}: {BENCHES[name][1]}")
    others, begun = machine.Others(), time.monotonic()
    result = measured(name, plan)
    during = others.share()
    found = objections(before, during, plan)
    told = {
        "name": name,
        "title": BENCHES[name][1],
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.monotonic() - begun),
        "publishable": not found,
        "objections": found,
        "others": round(during, 4),
        "rounds": plan.rounds,
        "machine": machine.describe(),
        "versions": result.versions,
        "commit": _commit(),
        "rows": report.as_json(result.rows),
        "aims": report.as_json(result.aims),
    }
    folder.mkdir(parents=True, exist_ok=True)
    # A result that may not be published is not kept beside those that may.
    out = folder / f"{name}{'.json' if told['publishable'] else '.json.tmp'}"
    out.write_text(json.dumps(told, indent=1) + "\n")
    print(f"\n## {told['title']}\n\n{report.page(told)}\n", flush=True)
    print(f"Written to {out} after {told['seconds']} s", file=sys.stderr)
    return told


def _commit() -> str:
    shown = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return shown.stdout.strip()


def chosen(names: Sequence[str]) -> list[str]:
    """The benches that these names mean; all for none.

    Raises:
        ValueError: nothing has that name; the message lists those there are.
    """
    numbers = {number: name for name, (number, _, _) in BENCHES.items()}
    unknown = [name for name in names if name.lower() not in {*BENCHES, *numbers}]
    if unknown:
        known = ", ".join(f"{name} ({number})" for name, (number, _, _) in BENCHES.items())
        raise ValueError(f"There is no bench {unknown[0]!r}; there are {known}.")
    return [numbers.get(name.lower(), name.lower()) for name in names] or list(BENCHES)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="bench.run", description="Measure every figure that the documentation quotes."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}, or c1, c2, ...; none for all")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--diffusers", help="a Python that has diffusers")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the folder to write to")
    parser.add_argument("--force", action="store_true", help="measure on a busy machine; the result says so")
    parser.add_argument("--smoke", action="store_true", help="seconds, no peers: shows that it works, measures nothing")
    parser.add_argument("--peers", action="store_true", help="only set up the peers' environments")
    args = parser.parse_args(arguments)
    try:
        args.names = chosen(args.names)
    except ValueError as error:
        parser.error(str(error))
    return args


def main(arguments: Sequence[str] | None = None, *, busy: Callable[[], float] = machine.busy_before) -> int:
    """Measure, print the tables, write the JSON; the exit code."""
    args = parse(arguments)
    # Not resolved: an environment is known by its link.
    diffusers = str(Path(args.diffusers).absolute()) if args.diffusers else None
    plan = Plan(rounds=args.rounds, smoke=args.smoke, diffusers=diffusers)
    if args.peers:
        for lock in sorted((ROOT / "requirements").glob("bench-*.txt")):
            plan.peer(lock.stem.removeprefix("bench-"))
        return 0
    failed = 0
    for name in args.names:
        # Before each: what one has stirred up must not meet the next.
        before = busy()
        if before > machine.BUSY and not (args.force or args.smoke):
            print(
                f"Refused: other programs use {before:.0%} of this machine and {machine.BUSY:.0%} is the limit, so "
                "the figures would be theirs as much as ours. Stop them, or measure all the same with --force "
                "(make bench ARGS=--force); the result then says that it is not for publication.",
                file=sys.stderr,
            )
            failed = REFUSED
            continue
        try:
            keep(name, plan, before, args.out)
        except (RuntimeError, AssertionError, OSError, subprocess.CalledProcessError) as error:
            # One peer that does not start must not cost the figures of the others.
            print(f"{name} failed: {error}", file=sys.stderr)
            failed = failed or 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
