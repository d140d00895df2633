"""Any engine in a child process, behind the same verb: what breaks the engine does not take the server with it.

A crash, a kill, want of memory or a hang in the child becomes an `EngineDiedError` for the requests that it was
drawing, and a fresh child serves the next. A request of which nothing was delivered yet is drawn once more there. The
child sees none of the server's keys, and does not outlive it.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self

from limner.engine import Engine
from limner.engines.worker_process import Process, WorkerLimits
from limner.errors import EngineDiedError, EngineError
from limner.types import Event, ImageRequest, ModelCard

log = logging.getLogger(__name__)
# Times that a request is given to a child, while nothing of it was delivered.
ATTEMPTS = 2


class WorkerEngine:
    """Draws in a child process with the engine that `engine`, "module:Class", names.

    `options`: its keyword arguments; plain values, tuples and our own nouns cross. `environment`: names of further
    variables that the child may see, with * at the end for all that begin so.
    """

    def __init__(
        self,
        engine: str,
        options: Mapping[str, Any] | None = None,
        *,
        limits: WorkerLimits | None = None,
        environment: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._options = dict(options or {})
        self._limits = limits or WorkerLimits()
        self._environment = tuple(environment)
        self._cards: Sequence[ModelCard] | None = None
        self._process: Process | None = None
        self._open = False

    @property
    def pid(self) -> int | None:
        """The id of the child; None while there is none."""
        return self._process.pid if self._process and self._process.alive else None

    def cards(self) -> Sequence[ModelCard]:
        if self._cards is None:
            module, _, name = self._engine.partition(":")
            made: Engine = getattr(importlib.import_module(module), name)(**self._options)
            self._cards = made.cards()
        return self._cards

    async def __aenter__(self) -> Self:
        if sys.platform == "win32":
            raise EngineError("Windows passes no memory between processes as this engine does; draw in this process.")
        self._open = True
        opened = False
        try:
            await self._living()
            opened = True
        finally:
            if not opened:
                await self.__aexit__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        for attempt in range(1, ATTEMPTS + 1):
            delivered = False
            try:
                process = await self._living()
                async with aclosing(process.draw(request)) as events:
                    async for event in events:
                        delivered = True
                        yield event
            except EngineDiedError as error:
                if delivered or attempt == ATTEMPTS or not self._open:
                    raise
                log.warning("%s Nothing was delivered yet: it is drawn once more.", error.message)
            else:
                return

    async def _living(self) -> Process:
        if not self._open:
            raise EngineError("The engine is not open.")
        if self._process is None or not self._process.alive:
            self._process = Process(self._engine, self._options, self._limits, self._environment)
        process = self._process
        # Shielded: others may wait for the same child.
        await asyncio.shield(process.opened)
        return process
