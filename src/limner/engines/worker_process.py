"""One child of a worker engine, seen from the server: its life, its watch, and the requests that it draws."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from limner import child, errors
from limner.engines.worker_frames import Channel
from limner.errors import EngineDiedError, EngineError, LimnerError
from limner.types import Event, ImageRequest

# What else than `child.VARIABLES` an engine may need: devices, caches, threads. HF_TOKEN and its like stay here.
VARIABLES = (
    *("CUDA_*", "NVIDIA_*", "TORCH_*", "TORCHINDUCTOR_*", "PYTORCH_*", "TRITON_*", "HIP_*", "ROCR_*", "HSA_*"),
    *("OMP_*", "MKL_*", "KMP_*", "LC_*", "TZ", "TEMP", "TMP", "XDG_CACHE_HOME", "CC", "CXX"),
)
# All that it loads lies on this machine already, and nobody is told about it.
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1"}
# Threads that wait by spinning take the processor from whoever they wait for, on a machine that does other things too.
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE"}
# Signs of life in the time after which silence counts as a hang.
BEATS = 6
# Seconds for the socket to take a small frame: the child reads at all times.
SEND = 5


@dataclass(frozen=True, kw_only=True)
class WorkerLimits:
    """How long a child may keep us waiting, in seconds, before it counts as hung and is killed."""

    # Until the engine is open: weights are read, perhaps compiled.
    start: float = 900.0
    # Without any event, while at least one is asked for.
    step: float = 300.0
    # Without a sign of life from the process itself.
    silence: float = 60.0
    # To end by itself when it is closed.
    close: float = 10.0


@dataclass(eq=False)
class _Job:
    """One request at the child."""

    # Messages about it; None when the child has died.
    inbox: "asyncio.Queue[dict[str, Any] | None]" = field(default_factory=lambda: asyncio.Queue())
    # Whether an event is asked for and has not come.
    asked: bool = True


class Process:
    """A child that opens an engine and draws with it. Make it on the event loop that will use it.

    `opened` is done when the engine is open, or has the error that kept it from opening.
    """

    def __init__(
        self, engine: str, options: Mapping[str, Any], limits: WorkerLimits, environment: Sequence[str] = ()
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._jobs: dict[int, _Job] = {}
        self._numbers = itertools.count(1)
        self._cause = ""
        self._heard = self._moved = time.monotonic()
        self.alive = True
        self.opened: asyncio.Future[None] = self._loop.create_future()
        # Nobody may be waiting for it any more when it fails.
        self.opened.add_done_callback(lambda done: done.cancelled() or done.exception())
        ours, theirs = socket.socketpair()
        # Linux and macOS: a child that does not read must not hold the event loop up.
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SEND.to_bytes(8, "little") + bytes(8))
        with theirs:
            self._child = child.start(
                "limner.engines.worker_child",
                *(str(each) for each in (theirs.fileno(), limits.silence / BEATS, os.getpid())),
                environment=PATIENT | child.environment((*VARIABLES, *environment)) | OFFLINE,
                pass_fds=(theirs.fileno(),),
                stdin=child.NOWHERE,
                stdout=child.NOWHERE,
            )
        self._channel = Channel(ours)
        self._reader = threading.Thread(target=self._read, name="limner-worker", daemon=True)
        self._reader.start()
        self._watch = self._loop.create_task(self._watched())
        self._send({"do": "open", "engine": engine, "options": dict(options)})

    @property
    def pid(self) -> int:
        """The child's id."""
        return self._child.pid

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """The engine's events; one is drawn when it is asked for. Raises EngineDiedError and what the engine raises."""
        number, job = next(self._numbers), _Job()
        self._jobs[number] = job
        ended = False
        self._moved = time.monotonic()
        try:
            wish = {"do": "draw", "job": number, "request": request}
            if request.images:
                # Large, so not on the event loop.
                await asyncio.to_thread(self._send, wish)
            else:
                self._send(wish)
            while (message := await self._answer(job))["is"] == "event":
                yield message["event"]
                job.asked = True
                self._send({"do": "next", "job": number})
            ended = True
            if message["is"] == "failed":
                raise error_of(message["error"])
            if not message["whole"]:
                raise self._death()
        finally:
            if not ended:
                self._send({"do": "stop", "job": number})
                # Shielded: a cancelled reader must still not return before the running step has ended.
                await asyncio.shield(asyncio.ensure_future(self._drained(number, job)))
            self._jobs.pop(number, None)

    async def close(self) -> None:
        """End the child, if need be by force."""
        self._cause = self._cause or "it was closed"
        self._send({"do": "close"})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._reader.join), self._limits.close)
        self._kill("it was closed")
        await asyncio.to_thread(self._reader.join)
        self._watch.cancel()
        self._gone()

    async def _answer(self, job: _Job) -> dict[str, Any]:
        message = await job.inbox.get()
        job.asked = False
        if message is None:
            raise self._death()
        return message

    def _death(self) -> EngineDiedError:
        return EngineDiedError(
            f"The engine's process is gone: {self._cause}. A fresh one takes the next request; send this one again."
        )

    async def _drained(self, number: int, job: _Job) -> None:
        """Until the child has stopped this job."""
        if not self.alive:
            return
        job.asked = True
        while (message := await job.inbox.get()) is not None and message["is"] == "event":
            pass
        self._jobs.pop(number, None)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(message)
        except OSError:
            # The reader tells of its end, and why.
            self._kill("it does not listen")

    def _kill(self, cause: str) -> None:
        self._cause = self._cause or cause
        if self._child.returncode is not None:
            # Its number may be another's by now.
            return
        # Its group: compilers that torch has started end with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)

    def _read(self) -> None:
        """On a thread of its own, until the child is gone."""
        while (message := self._channel.receive()) is not None:
            self._told(self._got, message)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        code = self._child.wait()
        self._channel.close()
        self._told(self._ended, code)

    def _told(self, what: Any, value: Any) -> None:
        # The loop may have been closed over a child that nobody closed.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, value)

    def _got(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        match message["is"]:
            case "opened" if not self.opened.done():
                self._moved = self._heard
                self.opened.set_result(None)
            case "event" | "ended" | "failed":
                self._moved = self._heard
                if (job := self._jobs.get(message["job"])) is not None:
                    job.inbox.put_nowait(message)
                elif message["job"] == 0 and not self.opened.done():
                    self.opened.set_exception(error_of(message["error"]))
            case _:
                pass

    def _ended(self, code: int) -> None:
        told = f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
        if code == -signal.SIGKILL:
            told += ", perhaps by the system for want of memory"
        self._cause = self._cause or told
        self._watch.cancel()
        self._gone()

    def _gone(self) -> None:
        self.alive = False
        if not self.opened.done():
            self.opened.set_exception(EngineDiedError(f"The engine's process did not start: {self._cause}."))
        for job in self._jobs.values():
            job.inbox.put_nowait(None)

    async def _watched(self) -> None:
        limits = self._limits
        begun = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, limits.silence / BEATS, limits.step / BEATS))
            now = time.monotonic()
            if now - self._heard > limits.silence:
                return self._kill(f"it gave no sign of life for {limits.silence:g} s")
            if not self.opened.done():
                if now - begun > limits.start:
                    return self._kill(f"it was not ready after {limits.start:g} s")
            elif any(job.asked for job in self._jobs.values()) and now - self._moved > limits.step:
                return self._kill(f"it made no step for {limits.step:g} s")


def error_of(told: Mapping[str, Any]) -> LimnerError:
    """The error that the child tells of."""
    kind = getattr(errors, told["kind"], EngineError)
    return kind(told["message"], param=told["param"], code=told["code"], retry_after=told["retry_after"])
