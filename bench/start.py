"""C8: from the start of a process to its first picture, or to the moment when it takes work."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.peers import version
from bench.plan import Measure, Plan, Result
from bench.processes import Server
from bench.report import Aim, Row, Values, aim, find, row, times
from bench.subjects import first_answer, quiet, whole_run
from limner.engines.mini import MiniEngine

PICTURE, TAKES_WORK = "process start to first picture", "process start until it takes work"
LOCAL, SERVE, SCRIPT = "limner generate --local, to its end", "limner serve, to its first answer", "a diffusers script"
BARE = "onnxruntime alone: load, draw, save"
OURS, LITELLM, XINFERENCE = "limner serve", "litellm proxy", "xinference-local"
# No key of anybody's: the proxy does not start without one.
KEY = "sk-bench-" + "0" * 40


def measure(plan: Plan) -> Result:
    """First pictures, then servers that say they are ready, then what g4f says."""
    limner = str(Path(sys.executable).parent / "limner")
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), str(Path(name) / "first.png")
        local = [limner, "generate", "a red apple", "--local", "--seed", "7", "-o", out]
        first: dict[str, Measure] = {
            LOCAL: lambda _: whole_run(local, folder),
            SERVE: lambda _: first_answer([limner, "serve"], folder / "pictures"),
            BARE: lambda _: whole_run([sys.executable, "-m", "bench.bare_start", out], folder),
        }
        peer = None if plan.smoke else plan.diffusers
        if peer:
            engine = MiniEngine()
            usual = engine.cards()[0].request("a red apple")
            wish = [str(usual.num_inference_steps), str(usual.guidance_scale), str(engine.drawn)]
            first[SCRIPT] = lambda _: whole_run([peer, "-m", "bench.peer", "--once", out, *wish], folder)
        plan.told(PICTURE)
        pictures = plan.interleaved(first)
        plan.told(TAKES_WORK)
        servers, versions = _servers(plan, limner, folder)
        ready = plan.interleaved({name: _until_ready(make) for name, make in servers.items()})
        notes, missing = _offline(plan, folder)
    roles = {LOCAL: "ours", SERVE: "also ours", BARE: "limit", OURS: "ours"}
    found = [row(PICTURE, name, roles.get(name, "peer"), each, notes.get(name, "")) for name, each in pictures.items()]
    found += [row(TAKES_WORK, name, roles.get(name, "peer"), each, notes.get(name, "")) for name, each in ready.items()]
    return Result(rows=[*found, *missing], aims=_aims(found), versions=versions)


def _aims(rows: list[Row]) -> list[Aim]:
    return [
        *aim("limner generate --local: ms", 500, lambda: find(rows, PICTURE, LOCAL)["wall"], most=True),
        *aim("limner serve, until it takes work: ms", 1000, lambda: find(rows, TAKES_WORK, OURS)["wall"], most=True),
        *aim("limner serve, until it takes work: MB", 150, lambda: find(rows, TAKES_WORK, OURS)["memory"], most=True),
        *aim("times the litellm proxy", 20, times(rows, TAKES_WORK, OURS, LITELLM, "wall")),
        *aim("times xinference-local", 20, times(rows, TAKES_WORK, OURS, XINFERENCE, "wall")),
    ]


def _servers(plan: Plan, limner: str, folder: Path) -> tuple[dict[str, Callable[[], Server]], dict[str, str]]:
    """How each is started, and the peers' versions."""
    home = {"HOME": str(folder), "XINFERENCE_HOME": str(folder / "xinference")}
    ours = [limner, "serve", "--port", "{port}", "--pictures", str(folder / "kept")]
    found: dict[str, Callable[[], Server]] = {OURS: lambda: Server(ours)}
    litellm, xinference = plan.peer("litellm"), plan.peer("xinference")
    if litellm is None or xinference is None:
        return found, {}
    proxy = [str(litellm.parent / "litellm"), "--host", "127.0.0.1", "--port", "{port}"]
    keyed = home | {"LITELLM_MASTER_KEY": KEY}
    found[LITELLM] = lambda: Server(proxy, ready="/health/liveliness", environment=keyed)
    local = [str(xinference.parent / "xinference-local"), "--host", "127.0.0.1", "--port", "{port}"]
    # It wants an account before it says anything else; 401 is its first answer.
    found[XINFERENCE] = lambda: Server(local, ready="/v1/models", accepted=(200, 401), environment=home)
    return found, {"litellm": version(litellm, "litellm"), "xinference": version(xinference, "xinference")}


def _until_ready(make: Callable[[], Server]) -> Measure:
    def run(number: int) -> Values:
        with make() as server:
            return {"wall": server.wall, "cpu": server.cpu, "memory": server.memory}

    return run


def _offline(plan: Plan, folder: Path) -> tuple[dict[str, str], list[Row]]:
    """`g4f api`, which asks the network for its list of providers before it listens: what it says without one."""
    notes = {
        SERVE: "CPU and memory: to its end",
        LITELLM: "memory when ready; it forwards requests and draws nothing",
        XINFERENCE: "memory when ready, of all its processes; no model loaded",
    }
    interpreter = plan.peer("g4f")
    if interpreter is None:
        return notes, []
    begun = time.perf_counter()
    command = [str(interpreter), "-m", "g4f.cli", "api", "--port", "1"]
    shown = subprocess.run(
        command,
        env=quiet() | {"HOME": str(folder), "PATH": os.environ.get("PATH", "")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    took = 1e3 * (time.perf_counter() - begun)
    lines = (shown.stderr or shown.stdout).strip().splitlines()
    said = lines[-1].split("(Caused by")[0].strip()[:160] if lines else ""
    note = f"g4f {version(interpreter, 'g4f')} did not start without a network: exit code {shown.returncode}, `{said}`"
    return notes, [row(TAKES_WORK, "g4f api", "peer", [], f"{note}, after {took / 1e3:.1f} s")]
