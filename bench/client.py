"""C13: an answer of 1 and of 10 pictures, from a socket to the bytes of PNG files: our client beside openai's.

Each client runs in a process of its own and asks a server that sends the same bytes to everyone. The limit reads the
answer from the socket and decodes its base64, and looks at nothing else of it.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.kinds import SIDE, photograph
from bench.plan import Measure, Plan, Result
from bench.processes import Server
from bench.report import Row, Values, aim, rows, times
from bench.subjects import ROOT, quiet

OURS, OPENAI, LIMIT = "limner", "openai", "socket and base64 alone"
ANSWERS = {1: 20, 10: 4}


def measure(plan: Plan) -> Result:
    """Both sizes of answer."""
    from importlib.metadata import version

    from limner import png

    picture = b64encode(png.encode(photograph().tobytes(), SIDE, SIDE)).decode()
    found: list[Row] = []
    for count, calls in ANSWERS.items() if not plan.smoke else ((1, 2),):
        figure = f"{count} picture{'s' if count > 1 else ''} of {SIDE}x{SIDE}"
        with contextlib.ExitStack() as stack:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "answer.json"
            data = [{"b64_json": picture, "revised_prompt": None, "url": None}] * count
            path.write_text(json.dumps({"created": 1, "data": data}, separators=(",", ":")))
            server = stack.enter_context(
                Server([sys.executable, "-m", "bench.bare_server", "{port}", str(path)], ready="/")
            )
            plan.told(figure)
            costs = plan.interleaved({name: _run(name, server.port, count, calls) for name in CLIENTS})
        found += rows(
            figure, costs, {OURS: "ours", LIMIT: "limit"}, {OURS: "memory: the peak above what it was before"}
        )
    aims = [
        each
        for figure in dict.fromkeys(row.figure for row in found)
        for each in aim(f"{figure}: times openai, in CPU", 8, times(found, figure, OURS, OPENAI, "cpu"))
    ]
    return Result(rows=found, aims=aims, versions={"openai": version("openai")})


def _run(name: str, port: int, count: int, calls: int) -> Measure:
    command = [sys.executable, "-m", "bench.client", name, str(port), str(count), str(calls)]

    def run(number: int) -> Values:
        shown = subprocess.run(command, cwd=ROOT, env=quiet(), stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(shown.stdout)

    return run


def by_limner(port: int, count: int) -> Callable[[], list[bytes]]:
    """Our client."""
    import limner

    client = limner.Client(f"http://127.0.0.1:{port}")
    return lambda: [picture.bytes for picture in client.generate("a photograph", n=count)]


def by_openai(port: int, count: int) -> Callable[[], list[bytes]]:
    """openai's, as its documentation does it."""
    from base64 import b64decode

    import openai

    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")

    def run() -> list[bytes]:
        answer = client.images.generate(model="limner-mini", prompt="a photograph", n=count)
        return [b64decode(each.b64_json or "") for each in answer.data or []]

    return run


def by_hand(port: int, count: int) -> Callable[[], list[bytes]]:
    """What no client can do without."""
    import pybase64

    connection = socket.create_connection(("127.0.0.1", port))
    ask = b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}"

    def run() -> list[bytes]:
        connection.sendall(ask)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(1 << 16)
        told, _, rest = head.partition(b"\r\n\r\n")
        size = int(told.lower().split(b"content-length:")[1].split()[0])
        body = bytearray(size)
        body[: len(rest)] = rest
        view, got = memoryview(body), len(rest)
        while got < size:
            got += connection.recv_into(view[got:])
        found, place = [], 0
        for _ in range(count):
            place = body.index(b'"b64_json":"', place) + 12
            end = body.index(b'"', place)
            found.append(pybase64.b64decode(view[place:end]))
            place = end
        return found

    return run


CLIENTS: dict[str, Callable[[int, int], Callable[[], list[bytes]]]] = {
    OURS: by_limner,
    OPENAI: by_openai,
    LIMIT: by_hand,
}


def _peak() -> float:
    """The most memory so far, megabytes; counted anew from each call on."""
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(text.split()[1]) for text in lines if text.startswith("VmHWM:")) * 1024 / 1e6
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak


def main(arguments: list[str]) -> None:
    """`python -m bench.client NAME PORT COUNT CALLS`: one client, so many calls, as JSON."""
    name, port, count, calls = arguments[0], *map(int, arguments[1:])
    run: Any = CLIENTS[name](port, count)
    # The first call imports and connects; the second is of the kind that is counted.
    assert all(data.startswith(b"\x89PNG") for data in run()), "no pictures"
    _peak()
    before = _peak()
    begun, spent = time.perf_counter(), time.process_time()
    for _ in range(calls):
        made = run()
    cost = {"wall": (time.perf_counter() - begun) * 1e3 / calls, "cpu": (time.process_time() - spent) * 1e3 / calls}
    assert len(made) == count
    print(json.dumps(cost | {"memory": max(0.0, _peak() - before)}), flush=True)
    # Clients' pools are not what is measured.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
