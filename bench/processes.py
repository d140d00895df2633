"""Servers as child processes: what they and their children cost."""

import contextlib
import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.subjects import PATIENCE, ROOT, quiet

PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def family(pid: int) -> list[int]:
    """`pid` and all its descendants that live."""
    parents: dict[int, int] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def cpu_of(pid: int) -> float:
    """Processor milliseconds of a process and its descendants, the dead ones too once they were waited for."""
    ticks = 0
    for each in family(pid):
        try:
            ticks += sum(map(int, (PROC / str(each) / "stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return 1e3 * ticks / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> float:
    """Megabytes of a process and its descendants; what they share is counted once."""
    kilobytes = 0
    for each in family(pid):
        try:
            lines = (PROC / str(each) / "smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(text.split()[1]) for text in lines if text.startswith("Pss:"))
    return kilobytes * 1024 / 1e6


class Server:
    """A server on a port of its own. `command` takes "{port}" where the port goes.

    Entering waits until GET `ready` answers 200, or any status of `accepted`; leaving ends it and its children.
    `cores`: which processors it may use, None for all.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: str = "/ready",
        accepted: tuple[int, ...] = (200,),
        cores: set[int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self._command = [part.replace("{port}", str(self.port)) for part in command]
        self._ready, self._accepted, self._cores = ready, accepted, cores
        self._environment = quiet() | dict(environment or {})
        # Milliseconds from the start of the process until it was ready.
        self.wall = 0.0

    def __enter__(self) -> Self:
        # Open for as long as the server lives.
        self._said = tempfile.TemporaryFile()
        _adopt()
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._environment,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            # Signals of the terminal are for us.
            start_new_session=True,
            preexec_fn=self._settle,
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self.wall = 1e3 * (time.perf_counter() - begun)
        return self

    def __exit__(self, *_: object) -> None:
        children = family(self._process.pid)[1:]
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        # Those that it did not wait for are ours now, and what they used counts as ours once they were.
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._said.close()

    @property
    def cpu(self) -> float:
        """Processor milliseconds so far."""
        return cpu_of(self._process.pid)

    @property
    def memory(self) -> float:
        """Megabytes now."""
        return memory_of(self._process.pid)

    def said(self) -> str:
        """What it has printed."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def _settle(self) -> None:
        if self._cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self._cores)

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command[0]} ended before it was ready:\n{self.said()[-2000:]}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", self._ready)
                if connection.getresponse().status in self._accepted:
                    return
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.01)
        raise RuntimeError(f"{self._command[0]} was not ready within {PATIENCE:.0f} s:\n{self.said()[-2000:]}")


def _adopt() -> None:
    """Orphans of our children become ours, so that none is left and what they used is known. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_cores() -> tuple[set[int] | None, set[int] | None]:
    """Processors for the server and for its callers: one and the others, or all for both where there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    first, *others = sorted(os.sched_getaffinity(0))
    return ({first}, set(others)) if others else (None, None)
