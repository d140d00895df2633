"""C11: a client hangs up when 30 % of its picture is done: what the device does for nobody after that.

Ours against FastAPI with the same engine behind it, which nobody tells that the client has gone.
"""

import contextlib
import json
import socket
import sys
import tempfile
import time
from pathlib import Path

from bench.plan import Measure, Plan, Result
from bench.processes import Server
from bench.report import Values, aim, find, rows
from bench.server import answer_of

OURS, FASTAPI, LIMIT = "limner", "FastAPI, run to the end", "one step"
FIGURE = "hung up at 30 %"
STEPS, SHORT, SHARE = 50, 12, 0.3
# Processor time is counted in hundredths of a second; this long without one is idle.
QUIET = 0.3


def measure(plan: Plan) -> Result:
    """Both servers with the same number of steps."""
    limner = str(Path(sys.executable).parent / "limner")
    steps = plan.count(STEPS, SHORT)
    body = {
        "model": "limner-mini",
        "prompt": "a red apple",
        "num_inference_steps": steps,
        "response_format": "b64_json",
    }
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ours = Server([limner, "serve", "--port", "{port}", "--pictures", folder])
        peer = [sys.executable, "-m", "bench.fastapi_server", "--port", "{port}", "--embedded", str(steps)]
        servers = {OURS: ours, FASTAPI: Server(peer, ready="/health")}
        subjects: dict[str, Measure] = {}
        whole: dict[str, Values] = {}
        for name, server in servers.items():
            stack.enter_context(server)
            answer_of(server, body)
            whole[name] = _whole(server, body)
            subjects[name] = _hung_up(server, body, whole[name])
        costs = plan.interleaved(subjects)
    costs[LIMIT] = [{"wasted": whole[OURS]["cpu"] / steps}]
    notes = {OURS: f"of {whole[OURS]['cpu']:.0f} ms for the whole picture of {steps} steps", LIMIT: "computed"}
    found = rows(FIGURE, costs, {OURS: "ours", LIMIT: "limit"}, notes)

    def share() -> float:
        return find(found, FIGURE, OURS)["wasted"] / find(found, FIGURE, LIMIT)["wasted"]

    return Result(rows=found, aims=aim("steps done for nobody", 2, share, most=True), versions={})


def _whole(server: Server, body: dict[str, object]) -> Values:
    before, begun = server.cpu, time.perf_counter()
    answer_of(server, body)
    return {"wall": 1e3 * (time.perf_counter() - begun), "cpu": server.cpu - before}


def _hung_up(server: Server, body: dict[str, object], whole: Values) -> Measure:
    data = json.dumps(body).encode()
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"

    def run(number: int) -> Values:
        _settled(server)
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + data)
            time.sleep(SHARE * whole["wall"] / 1e3)
            at = server.cpu
        # From here on nobody waits for it.
        return {"wasted": _settled(server) - at}

    return run


def _settled(server: Server) -> float:
    """Wait until the server does nothing; its processor milliseconds then."""
    last, since = server.cpu, time.monotonic()
    until = since + 60
    while time.monotonic() < until and time.monotonic() - since < QUIET:
        time.sleep(0.02)
        now = server.cpu
        if now > last:
            last, since = now, time.monotonic()
    return last
