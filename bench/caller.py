"""Many equal requests at once, from a process of its own that parses nothing: `python -m bench.caller < request.json`.

The request: port, path, body, headers, at_once, count, cores (a list, or null). The answer, as JSON: wall (milliseconds
for all), p50 and p99 of one (milliseconds), bytes (of one answer's body).
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from bench.subjects import ROOT

CHUNK = 1 << 18


def call(
    port: int, body: dict[str, Any], *, at_once: int, count: int, cores: set[int] | None = None, **more: Any
) -> Any:
    """Send `count` requests, `at_once` of them at any time, and wait for all; `more`: path, headers."""
    wanted = {"port": port, "body": body, "at_once": at_once, "count": count, **more}
    wanted["cores"] = sorted(cores) if cores else None
    shown = subprocess.run(
        [sys.executable, "-m", "bench.caller"],
        cwd=ROOT,
        input=json.dumps(wanted),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(shown.stdout)


class Caller(threading.Thread):
    """One connection that is kept alive."""

    def __init__(self, port: int, message: bytes, turns: list[int], buffer_size: int = CHUNK) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self._message, self._turns = message, turns
        self._buffer = bytearray(buffer_size)
        self.seconds: list[float] = []
        self.size = 0

    def run(self) -> None:
        while True:
            try:
                self._turns.pop()
            except IndexError:
                return
            begun = time.perf_counter()
            self._socket.sendall(self._message)
            self.size = self._drain()
            self.seconds.append(time.perf_counter() - begun)

    def _drain(self) -> int:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self._socket.recv(CHUNK)
            if not part:
                raise RuntimeError("the server hung up")
            head += part
        told, _, rest = head.partition(b"\r\n\r\n")
        if b" 200 " not in told.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"the server said {(told + rest)[:500]!r}")
        lengths = [text.split(b":")[1] for text in told.split(b"\r\n") if text.lower().startswith(b"content-length:")]
        size = int(lengths[0])
        left = size - len(rest)
        view = memoryview(self._buffer)
        while left > 0:
            got = self._socket.recv_into(view, min(left, CHUNK))
            if not got:
                raise RuntimeError("the server hung up within an answer")
            left -= got
        return size


def main() -> None:
    """Do what standard input asks for."""
    wanted = json.load(sys.stdin)
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    body = json.dumps(wanted["body"]).encode()
    lines = [f"POST {wanted.get('path', '/v1/images/generations')} HTTP/1.1", f"Host: 127.0.0.1:{wanted['port']}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in wanted.get("headers", {}).items()]
    message = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    turns = list(range(wanted["count"]))
    callers = [Caller(wanted["port"], message, turns) for _ in range(wanted["at_once"])]
    begun = time.perf_counter()
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    wall = time.perf_counter() - begun
    taken = sorted(second for caller in callers for second in caller.seconds)
    if len(taken) != wanted["count"]:
        raise SystemExit("a caller failed")
    p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, round(0.99 * len(taken)))]
    print(json.dumps({"wall": 1e3 * wall, "p50": 1e3 * p50, "p99": 1e3 * p99, "bytes": callers[0].size}))


if __name__ == "__main__":
    main()
