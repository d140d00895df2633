"""C3: the same request again: answered from the cache, or joined to one that is being drawn, beside drawing it.

Our server with the embedded model, asked for a picture of 1024x1024 with a seed. The limit sends the same bytes from
memory.
"""

import contextlib
import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.caller import call
from bench.plan import Measure, Plan, Result
from bench.processes import Server, own_cores
from bench.report import Values, aim, find, rows, times
from bench.server import answer_of
from bench.subjects import PROMPT

DRAWN, HIT, BARE, JOINED = "drawn", "again", "again, as a bare file", "eight at once, together"
LIMIT = "the same answer from memory"
FIGURE = "1024x1024 picture with a seed"
BODY = {"model": "limner-mini", "prompt": PROMPT, "size": "1024x1024", "response_format": "b64_json"}
TOGETHER = 8


def measure(plan: Plan) -> Result:
    """Each way to get the picture."""
    limner = str(Path(sys.executable).parent / "limner")
    seeds = itertools.count(1000)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        served = [limner, "serve", "--port", "{port}", "--pictures", str(folder)]
        server = stack.enter_context(Server(served))
        (folder / "answer.json").write_bytes(answer_of(server, BODY | {"seed": 7}))
        bare = [sys.executable, "-m", "bench.bare_server", "{port}", str(folder / "answer.json")]
        limit = stack.enter_context(Server(bare, ready="/"))
        many = plan.count(200, 4)
        subjects: dict[str, Measure] = {
            DRAWN: lambda _: _asked(server, next(seeds), at_once=1, count=1),
            HIT: lambda _: _asked(server, 7, at_once=1, count=many),
            BARE: lambda _: _asked(server, 7, at_once=1, count=many, headers={"Accept": "image/png"}),
            JOINED: lambda _: _asked(server, next(seeds), at_once=TOGETHER, count=TOGETHER),
            LIMIT: lambda _: _asked(limit, 7, at_once=1, count=many),
        }
        costs = plan.interleaved(subjects)
    notes = {
        HIT: "one connection, one request after the other",
        JOINED: "a new seed, eight equal requests in the same moment; the cost of each",
        DRAWN: "a new seed each time, steps and guidance as the card has them",
    }
    found = rows(
        FIGURE, costs, {HIT: "ours", BARE: "also ours", JOINED: "also ours", DRAWN: "also ours", LIMIT: "limit"}, notes
    )
    aims = [
        *aim("again: times drawing it, in CPU", 300, times(found, FIGURE, HIT, DRAWN, "cpu")),
        *aim("again: answers a second", 1000, lambda: find(found, FIGURE, HIT)["rate"]),
    ]
    return Result(rows=found, aims=aims, versions={})


def _asked(server: Server, seed: int, *, at_once: int, count: int, **more: Any) -> Values:
    before = server.cpu
    told = call(server.port, BODY | {"seed": seed}, at_once=at_once, count=count, cores=own_cores()[1], **more)
    return {"wall": told["p50"], "rate": 1e3 * count / told["wall"], "cpu": (server.cpu - before) / count}
