"""What is measured, as child processes that say what a picture cost them.

`Drawer` keeps one process alive that draws on demand, so that rounds of several can be interleaved. `whole_run` and
`first_answer` time a process from its start.
"""

import base64
import json
import os
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.report import Values

ROOT = Path(__file__).parents[1]
PROMPT = "a red apple"
PATIENCE = 180.0


class Drawer:
    """A process that has loaded a model and draws a picture for each line that it is sent."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=quiet(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # What it runs on, its versions and the like.
        self.facts: dict[str, Any] = self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(timeout=PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def draw(self, **wish: Any) -> Values:
        """Draw once. `wish`: size (pixels of a side), steps, guidance, seed, and `save`, a path for raw RGB rows."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"prompt": PROMPT, **wish}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return {"wall": answer["wall"], "cpu": answer["cpu"]}

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a measured process ended with {self._process.wait()}; its error is above")
        return json.loads(line)


def serve_lines(facts: dict[str, Any], draw: Any) -> None:
    """The other end of `Drawer`, for the measured process: `draw(wish)` is timed and returns raw RGB rows."""
    import sys

    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        begun, spent = time.perf_counter(), time.process_time()
        pixels = draw(wish)
        cost = {"wall": (time.perf_counter() - begun) * 1e3, "cpu": (time.process_time() - spent) * 1e3}
        if wish.get("save"):
            Path(wish["save"]).write_bytes(pixels)
        print(json.dumps(cost), flush=True)


def whole_run(command: Sequence[str], folder: Path) -> Values:
    """Time a program from its start to its end; it must have left a PNG in `folder`."""
    for old in folder.glob("*.png"):
        old.unlink()
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=quiet(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as pipe:
        said = pipe.read().decode(errors="replace")
    _, status, used = os.wait4(process.pid, 0)
    wall = (time.perf_counter() - begun) * 1e3
    process.returncode = os.waitstatus_to_exitcode(status)
    made = [path for path in folder.glob("*.png") if path.read_bytes().startswith(b"\x89PNG")]
    if process.returncode or not made:
        raise RuntimeError(f"{' '.join(command)} made no picture (exit code {process.returncode}):\n{said[-2000:]}")
    return _cost(wall, used)


def first_answer(command: Sequence[str], folder: Path) -> Values:
    """Time a server from the start of its process to its first picture over HTTP.

    `command` takes the port and the folder for pictures at its end. The processor time is that of its whole life.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port), "--pictures", str(folder)],
        cwd=ROOT,
        env=quiet(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        picture = _ask(process, port)
        wall = (time.perf_counter() - begun) * 1e3
    finally:
        process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if not picture.startswith(b"\x89PNG"):
        raise RuntimeError("the server's first answer holds no PNG")
    return _cost(wall, used)


def _cost(wall: float, used: resource.struct_rusage) -> Values:
    # Linux counts the peak of memory in KiB.
    return {"wall": wall, "cpu": (used.ru_utime + used.ru_stime) * 1e3, "memory": used.ru_maxrss * 1024 / 1e6}


def _ask(process: subprocess.Popen[bytes], port: int) -> bytes:
    body = json.dumps({"model": "limner-mini", "prompt": PROMPT, "response_format": "b64_json", "seed": 7}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/images/generations", body, {"Content-Type": "application/json"}
    )
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return base64.b64decode(json.load(answer)["data"][0]["b64_json"])
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            error.close()
        except OSError:
            # Not listening yet. A program that ended never will.
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode} before it answered") from None
        time.sleep(0.005)
    raise RuntimeError(f"the server gave no picture within {PATIENCE:.0f} s")


def quiet() -> dict[str, str]:
    """This environment without settings of ours, and with no library asking the network for anything."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIMNER_")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_VERBOSITY": "error"}
    return kept | offline | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
