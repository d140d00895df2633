"""C7: one picture by engines that are loaded already, beside diffusers on the same weights."""

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.plan import Measure, Plan, Result
from bench.report import Row, aim, row, times
from bench.subjects import PROMPT, Drawer
from limner.engines.mini import MiniEngine

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
        subjects: dict[str, Measure] = {OURS: _drawing(mine, wish), LIMIT: _drawing(limit, wish)}
        notes, versions = {}, dict(mine.facts)
        if plan.diffusers and not plan.smoke:
            theirs = stack.enter_context(Drawer([plan.diffusers, "-m", "bench.peer"]))
            peer = wish | {"native": native}
            subjects[THEIRS] = _drawing(theirs, peer)
            apart = _difference(mine, theirs, wish, peer, Path(folder))
            notes[THEIRS] = f"the same weights, seed, steps and size; largest difference from our picture {apart}/255"
            versions |= theirs.facts
        plan.told(figure)
        costs = plan.interleaved(subjects)
    roles = {OURS: "ours", LIMIT: "limit"}
    rows = [row(figure, name, roles.get(name, "peer"), each, notes.get(name, "")) for name, each in costs.items()]
    return Result(rows=rows, aims=_aims(rows, figure), versions={name: str(each) for name, each in versions.items()})


def _aims(rows: list[Row], figure: str) -> list[Any]:
    return aim("times diffusers eager on the same weights", 4, times(rows, figure, OURS, THEIRS, "wall"))


def _drawing(drawer: Drawer, wish: dict[str, Any]) -> Measure:
    return lambda number: drawer.draw(**wish, seed=number)


def _difference(mine: Drawer, theirs: Drawer, wish: dict[str, Any], peer: dict[str, Any], folder: Path) -> int:
    """The largest difference of a channel between our picture and the peer's, 0..255."""
    import numpy as np

    mine.draw(**wish, seed=7, save=str(folder / "ours.rgb"))
    theirs.draw(**peer, seed=7, save=str(folder / "theirs.rgb"))
    ours, other = (np.fromfile(folder / f"{name}.rgb", np.uint8).astype(int) for name in ("ours", "theirs"))
    return int(abs(ours - other).max())
