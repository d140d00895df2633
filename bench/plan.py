"""How much is measured, and beside whom."""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from bench.report import Aim, Row, Values

Measure = Callable[[int], Values]
MIN_ROUNDS = 7


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `make bench` was asked for."""

    rounds: int = MIN_ROUNDS
    # The least that shows that it works: seconds, no peers, figures worth nothing.
    smoke: bool = False
    # A Python that has diffusers, which is not set up here but by make.
    diffusers: str | None = None

    def told(self, text: str) -> None:
        """Say how far it has come."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def peer(self, name: str) -> Path | None:
        """The interpreter of a peer's environment, set up where it is missing; None in the smoke form."""
        return None if self.smoke else peers.python(name, self.told)

    def count(self, usual: int, smoke: int = 1) -> int:
        """How often something is done within a round."""
        return smoke if self.smoke else usual

    def interleaved(
        self, subjects: dict[str, Measure], rounds: int | None = None, *, warm: bool = False
    ) -> dict[str, list[Values]]:
        """Each subject once a round, in a new order each round, after one that is not counted unless all are `warm`."""
        order = random.Random(1)
        costs: dict[str, list[Values]] = {name: [] for name in subjects}
        wanted = 1 if self.smoke else min(self.rounds, rounds or self.rounds)
        for number in range(wanted + 1):
            # In the smoke form even the round that is not counted would take long.
            if (self.smoke or warm) and not number:
                continue
            for name in order.sample(list(subjects), len(subjects)):
                values = subjects[name](number)
                if number:
                    costs[name].append(values)
            self.told(f"round {number} of {wanted}" if number else "warmed up")
        return costs


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a bench found."""

    rows: list[Row]
    aims: list[Aim]
    # By name.
    versions: dict[str, str]
