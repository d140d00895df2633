"""The process that draws for a worker engine: `python -m limner.engines.worker_child FD SECONDS`, started by `worker`.

It opens the engine that it is told to and draws one event each time one is asked for, so that it never runs ahead of
whoever reads. It sends a sign of life every SECONDS, and ends when the other side is gone.
"""

import asyncio
import ctypes
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from contextlib import aclosing
from typing import Any

from limner.engine import Engine
from limner.engines.worker_frames import Channel
from limner.errors import EngineError, LimnerError
from limner.types import ImageRequest

log = logging.getLogger(__name__)
PR_SET_PDEATHSIG = 1
# Exit code when the engine is broken for good, as a GPU's context is after some errors.
BROKEN = 70
# torch's names for what no later request survives.
FATAL = ("AcceleratorError", "DeferredCudaCallError")


class Worker:
    """The engine and the requests that it draws."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.jobs: dict[int, tuple[asyncio.Task[None], asyncio.Semaphore]] = {}
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def serve(self) -> None:
        """Open the engine, draw until told to close."""
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()
        wish = await self.inbox.get()
        try:
            opened = made(wish["engine"], wish["options"])
            await opened.__aenter__()
        # Anything may go wrong with a model's files, and the other side must hear of it.
        except Exception as error:  # noqa: BLE001
            self.channel.send({"is": "failed", "job": 0, "error": told(error)})
            return
        self.channel.send({"is": "opened"})
        try:
            while (wish := await self.inbox.get())["do"] != "close":
                self._do(opened, wish)
        finally:
            for task, _ in self.jobs.values():
                task.cancel()
            await asyncio.gather(*(task for task, _ in self.jobs.values()), return_exceptions=True)
            await opened.__aexit__(None, None, None)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while (message := self.channel.receive()) is not None:
            loop.call_soon_threadsafe(self.inbox.put_nowait, message)
        # The other side is gone. At once: the loop may be held up by the engine.
        os._exit(0)

    def _do(self, engine: Engine, wish: dict[str, Any]) -> None:
        number: int = wish["job"]
        if wish["do"] == "draw":
            asked = asyncio.Semaphore(1)
            task = asyncio.create_task(self._draw(engine, number, wish["request"], asked))
            self.jobs[number] = (task, asked)
            task.add_done_callback(lambda task: self._ended(number, task))
        elif number in self.jobs:
            task, asked = self.jobs[number]
            if wish["do"] == "next":
                asked.release()
            else:
                task.cancel()

    async def _draw(self, engine: Engine, number: int, request: ImageRequest, asked: asyncio.Semaphore) -> None:
        async with aclosing(engine.generate(request)) as events:
            await asked.acquire()
            async for event in events:
                self.channel.send({"is": "event", "job": number, "event": event})
                await asked.acquire()

    def _ended(self, number: int, task: asyncio.Task[None]) -> None:
        del self.jobs[number]
        # Cancelled: it was told to stop, and has.
        error = None if task.cancelled() else task.exception()
        if not isinstance(error, Exception):
            self.channel.send({"is": "ended", "job": number, "whole": not task.cancelled()})
            return
        # Whatever an engine raises ends that request and nothing else.
        self.channel.send({"is": "failed", "job": number, "error": told(error)})
        if type(error).__name__ in FATAL:
            os._exit(BROKEN)


def made(target: str, options: dict[str, Any]) -> Engine:
    """The engine that "module:Class" names."""
    module, _, name = target.partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)(**options)
    return engine


def told(error: Exception) -> dict[str, Any]:
    """An error for the other side. What an engine did not foresee is logged here; its text may tell of paths."""
    if not isinstance(error, LimnerError):
        name = type(error).__name__
        log.error("the engine failed: %s", name, exc_info=error)
        if isinstance(error, MemoryError) or "OutOfMemory" in name:
            error = EngineError(
                "There is not enough memory for this picture here; ask for a smaller size or for fewer pictures.",
                code="out_of_memory",
            )
        else:
            error = EngineError(f"The engine failed with {name}; the server's log says more.")
    return {
        "kind": type(error).__name__,
        "message": error.message,
        "param": error.param,
        "code": error.code,
        "retry_after": error.retry_after,
    }


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, even while the engine holds it up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def beat(channel: Channel, seconds: float) -> None:
    """Tell that this process runs."""
    while True:
        time.sleep(seconds)
        try:
            channel.send({"is": "alive"})
        except OSError:
            os._exit(0)


def main() -> None:
    """Serve until the other side closes or is gone."""
    descriptor, seconds, parent = sys.argv[1:]
    end_with(int(parent))
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    os.set_inheritable(int(descriptor), False)
    channel = Channel(socket.socket(fileno=int(descriptor)))
    threading.Thread(target=beat, args=(channel, float(seconds)), daemon=True).start()
    asyncio.run(Worker(channel).serve())


if __name__ == "__main__":
    main()
