"""C2: what a server costs around the model: a fixed photograph of 1024x1024 to a JSON answer.

The server has one processor, its callers another. Ours with a null engine; FastAPI, Pillow and pydantic as the peers
write it; LitServe; and the limit: a server that sends the same answer from memory.
"""

import contextlib
import io
import json
import sys
import tempfile
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

from bench.caller import call
from bench.kinds import SIDE, photograph
from bench.peers import version
from bench.plan import Measure, Plan, Result
from bench.processes import Server, own_cores
from bench.report import Aim, Row, aim, find, rows, times

OURS, FASTAPI, LITSERVE, LIMIT = "limner", "FastAPI, Pillow, pydantic", "LitServe", "the same answer from memory"
BODY = {"model": "limner-mini", "prompt": "a photograph", "response_format": "b64_json"}
# Requests of a round at so many at once: ours and the limit's, the peers'. Theirs take a third of a second each.
COUNTS = {1: (60, 4), 8: (120, 8), 64: (192, 64)}
# A wave of 64 takes a peer half a minute.
FEW = 3


def measure(plan: Plan) -> Result:
    """Every server at every number of requests at once."""
    found: list[Row] = []
    versions = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {name: stack.enter_context(server) for name, server in _servers(plan, folder, versions).items()}
        for at_once in COUNTS if not plan.smoke else (8,):
            figure = f"{at_once} at once"
            plan.told(figure)
            subjects = {name: _calls(plan, server, name, at_once) for name, server in servers.items()}
            costs = plan.interleaved(subjects, FEW if at_once == 64 else None, warm=at_once > 1)
            found += rows(figure, costs, {OURS: "ours", LIMIT: "limit"})
    return Result(rows=found, aims=_aims(found), versions=versions)


def _aims(rows: list[Row]) -> list[Aim]:
    figure = "8 at once"
    return [
        *aim("pictures a second on one core", 90, lambda: find(rows, figure, OURS)["rate"]),
        *aim("times FastAPI, Pillow, pydantic", 20, times(rows, figure, OURS, FASTAPI, "rate")),
        *aim("times LitServe", 20, times(rows, figure, OURS, LITSERVE, "rate")),
    ]


def _servers(plan: Plan, folder: Path, versions: dict[str, str]) -> dict[str, Server]:
    """Each with the photograph, on one processor."""
    pixels, cores = folder / "pixels.rgb", own_cores()[0]
    shown = photograph()
    pixels.write_bytes(shown.tobytes())
    ours = [sys.executable, "-m", "bench.null_server", "--port", "{port}", "--pictures", str(folder / "kept")]
    found = {OURS: Server([*ours, "--pixels", str(pixels)], cores=cores)}
    peer = plan.peer("servers")
    if peer is not None:
        fastapi = [str(peer), "-m", "bench.fastapi_server", "--port", "{port}", "--pixels", str(pixels)]
        found[FASTAPI] = Server(fastapi, ready="/health", cores=cores)
        found[LITSERVE] = Server(
            [str(peer), "-m", "bench.litserve_server", "{port}", str(pixels)], ready="/health", cores=cores
        )
        versions |= {name: version(peer, name) for name in ("fastapi", "pydantic", "pillow", "litserve", "uvicorn")}
    with found[OURS] as server:
        answer = answer_of(server, BODY)
    _check(answer, shown)
    (folder / "answer.json").write_bytes(answer)
    bare = [sys.executable, "-m", "bench.bare_server", "{port}", str(folder / "answer.json")]
    found[OURS] = Server([*ours, "--pixels", str(pixels)], cores=cores)
    found[LIMIT] = Server(bare, ready="/", cores=cores)
    return found


def _calls(plan: Plan, server: Server, name: str, at_once: int) -> Measure:
    mine, theirs = COUNTS[at_once]
    count = plan.count(mine if name in (OURS, LIMIT) else theirs, 8)
    callers = own_cores()[1]

    def run(number: int) -> dict[str, float]:
        before = server.cpu
        told = call(server.port, BODY, at_once=at_once, count=count, cores=callers)
        spent = server.cpu - before
        return {"rate": 1e3 * count / told["wall"], "cpu": spent / count, "p99": told["p99"], "memory": server.memory}

    return run


def answer_of(server: Server, body: dict[str, Any]) -> bytes:
    """The body of one answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/images/generations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def _check(answer: bytes, shown: Any) -> None:
    """What is served must be the picture."""
    import numpy as np
    import PIL.Image

    data = b64decode(json.loads(answer)["data"][0]["b64_json"])
    pixels = np.asarray(PIL.Image.open(io.BytesIO(data)))
    assert pixels.shape == (SIDE, SIDE, 3), pixels.shape
    assert np.array_equal(pixels, shown), "the server changed the pixels"
