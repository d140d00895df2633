"""limner-mini's checkpoint in the diffusers engine, with a ledger of its steps. Needs torch to be opened."""

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from limner.engines.diffusers import DiffusersEngine
from limner.engines.mini import MiniEngine
from tests.fakes import noted

CHECKPOINT = Path(__file__).parents[1] / "training" / "checkpoint"
FACTS: dict[str, Any] = json.loads((files("limner") / "mini" / "card.json").read_text())
# What makes the engine draw as limner-mini does: its noise, and the lengths that it pads prompts to.
AS_MINI: dict[str, Any] = {"noise": "numpy", "lengths": tuple(FACTS["lengths"])}


class CountedDiffusers(DiffusersEngine):
    """One picture at a time, so that its bytes do not depend on its company."""

    def __init__(self, ledger: str = "", **options: Any) -> None:
        (card,) = MiniEngine().cards()
        super().__init__(card, str(CHECKPOINT), threads=1, **{"max_batch": 1} | AS_MINI | options)
        self.ledger = ledger

    def _load(self) -> Any:
        drawer = super()._load()
        parts = drawer._parts
        fresh = parts.scheduler

        def counted(name: str) -> Any:
            scheduler = fresh(name)
            step = scheduler.step

            @functools.wraps(step)
            def noted_step(*arguments: Any, **options: Any) -> Any:
                noted(self.ledger)
                return step(*arguments, **options)

            scheduler.step = noted_step
            return scheduler

        parts.scheduler = counted
        return drawer
