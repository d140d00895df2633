"""Engines that break, and engines whose steps can be counted from another process."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Self

from limner.engines.mini import MiniEngine
from limner.engines.mini_sampler import Sample
from limner.errors import EngineError, InvalidRequestError
from limner.types import Event, ImageRequest
from tests.fakes import GradientEngine, noted


class CountedMini(MiniEngine):
    """limner-mini with a ledger of its steps."""

    def __init__(self, ledger: str) -> None:
        super().__init__(threads=1)
        self.ledger = ledger

    def advance(self, samples: Sequence[Sample]) -> None:
        noted(self.ledger)
        super().advance(samples)


class BreakingEngine(GradientEngine):
    """Breaks on some prompts, in ways that only a process of its own survives."""

    def __init__(self, ledger: str = "", fails: bool = False) -> None:
        super().__init__(0.002, ledger)
        self.fails = fails

    async def __aenter__(self) -> Self:
        if self.fails:
            raise EngineError("The weights are not what they should be.", code="unsafe_model")
        return await super().__aenter__()

    def _draw(self, request: ImageRequest) -> Iterator[Event]:
        first, _, word = request.prompt.partition(" ")
        for step, event in enumerate(super()._draw(request)):
            if step == (0 if first == "early" else 2) and word in BREAKS:
                noted(self.ledger)
                BREAKS[word]()
            yield event


def _environment() -> None:
    raise InvalidRequestError(" ".join(sorted(os.environ)), param="prompt")


def _bug() -> None:
    raise RuntimeError("a secret path: /somewhere/private")


def _memory() -> None:
    raise MemoryError


def _fatal() -> None:
    raise type("AcceleratorError", (RuntimeError,), {})("device-side assert")


BREAKS = {
    "exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "sleep": lambda: time.sleep(3600),
    "bug": _bug,
    "memory": _memory,
    "fatal": _fatal,
    "environment": _environment,
}
