"""C7: one picture by engines that are loaded already, beside diffusers on the same weights."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.peak import GFLOP
from bench.plan import Measure, Plan, Result
from bench.report import Row, Values, aim, row, times
from bench.subjects import PROMPT, ROOT, Drawer, quiet
from limner.engines.mini import MiniEngine

PEAK = "the product of two matrices in numpy"
OURS, THEIRS, LIMIT = "limner-mini", "diffusers eager", "the graphs alone in onnxruntime"


def measure(plan: Plan) -> Result:
    """Ours, the peer's and the limit, at the size that the transformer draws at."""
    engine = MiniEngine()
    usual = engine.cards()[0].request(PROMPT)
    native = engine.drawn
    wish = {"size": native, "steps": plan.count(usual.num_inference_steps, 1), "guidance": usual.guidance_scale}
    figure = f"{native}x{native} picture"
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        mine = stack.enter_context(Drawer([sys.executable, "-m", "bench.embedded"]))
        limit = stack.enter_context(Drawer([sys.executable, "-m", "bench.embedded", "--bare"]))
        peak = stack.enter_context(Drawer([sys.executable, "-m", "bench.peak"]))
        subjects: dict[str, Measure] = {OURS: _drawing(mine, wish), LIMIT: _drawing(limit, wish)}
        gflop: dict[str, float] = {PEAK: GFLOP}
        notes, versions = {}, dict(mine.facts)
        if plan.diffusers and not plan.smoke:
            theirs = stack.enter_context(Drawer([plan.diffusers, "-m", "bench.peer"]))
            peer = wish | {"native": native}
            subjects[THEIRS] = _drawing(theirs, peer)
            apart = _difference(mine, theirs, wish, peer, Path(folder))
            notes[THEIRS] = f"the same weights, seed, steps and size; largest difference from our picture {apart}/255"
            versions |= theirs.facts
            gflop |= dict.fromkeys((OURS, LIMIT, THEIRS), _arithmetic(plan.diffusers, wish))
        plan.told(figure)
        costs = plan.interleaved(subjects)
        # By itself: its matrices would push the others' weights out of the processor's cache.
        peaks = plan.interleaved({PEAK: _drawing(peak, {})})
    roles = {OURS: "ours", LIMIT: "limit"}
    rows = [row(figure, name, roles.get(name, "peer"), each, notes.get(name, "")) for name, each in costs.items()]
    rows += _rates(peaks | costs, gflop, f"arithmetic of a {figure}", roles | {PEAK: "limit"})
    return Result(rows=rows, aims=_aims(rows, figure), versions={name: str(each) for name, each in versions.items()})


def _rates(
    costs: dict[str, list[Values]], gflop: dict[str, float], figure: str, roles: dict[str, str]
) -> Iterable[Row]:
    """How much of what the machine can do is done: billions of multiplications and additions a second."""
    for name, total in gflop.items():
        rounds = [{"gflops": 1000 * total / each["wall"]} for each in costs[name]]
        yield row(figure, name, roles.get(name, "peer"), rounds, "" if name == PEAK else f"{total:.1f} GFLOP a picture")


def _arithmetic(python: str, wish: dict[str, Any]) -> float:
    """GFLOP of one picture, as torch counts the products and convolutions of the peer; ours computes the same."""
    wanted = [str(wish["steps"]), str(wish["guidance"]), str(wish["size"])]
    command = [python, "-m", "bench.peer", "--count", *wanted]
    return float(subprocess.run(command, cwd=ROOT, env=quiet(), capture_output=True, check=True, text=True).stdout)


def _aims(rows: list[Row], figure: str) -> list[Any]:
    return aim("times diffusers eager on the same weights", 4, times(rows, figure, OURS, THEIRS, "wall"))


def _drawing(drawer: Drawer, wish: dict[str, Any]) -> Measure:
    return lambda number: drawer.draw(**wish, seed=number)


def _difference(mine: Drawer, theirs: Drawer, wish: dict[str, Any], peer: dict[str, Any], folder: Path) -> int:
    """The largest difference of a channel between our picture and the peer's, 0..255."""
    import numpy as np

    # A seed at which the engine draws flat, as the bare prompt means to the weights, and does not turn it round.
    mine.draw(**wish, seed=9, save=str(folder / "ours.rgb"))
    theirs.draw(**peer, seed=9, save=str(folder / "theirs.rgb"))
    ours, other = (np.fromfile(folder / f"{name}.rgb", np.uint8).astype(int) for name in ("ours", "theirs"))
    return int(abs(ours - other).max())
