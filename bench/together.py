"""C7, several at once: 1, 2, 4 and 8 requests that come together, sharing each denoising step.

Beside the same engine one after the other, and diffusers eager on the same weights, which also takes them so.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any

from bench.plan import Measure, Plan, Result
from bench.report import Row, Values, aim, rows, times
from bench.subjects import PROMPT, Drawer

OURS, ALONE, DIFFUSERS = (
    "limner-mini, together",
    "limner-mini, one after the other",
    "diffusers eager, one after the other",
)
MANY = (1, 2, 4, 8)
Draw = Callable[[int], Coroutine[Any, Any, None]]


def measure(plan: Plan) -> Result:
    """Every number of requests, each way."""
    from limner.engines.mini import MiniEngine
    from limner.types import Image

    found: list[Row] = []
    with asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        mini = MiniEngine()
        runner.run(mini.__aenter__())
        stack.callback(lambda: runner.run(mini.__aexit__(None, None, None)))
        (card, *_) = mini.cards()
        usual = card.request(PROMPT)
        size = f"{mini.drawn}x{mini.drawn}"

        async def draw(seed: int) -> None:
            made = [
                event
                async for event in mini.generate(card.request(PROMPT, seed=seed, size=size))
                if isinstance(event, Image)
            ]
            assert len(made) == 1

        wish = {"steps": usual.num_inference_steps, "guidance": usual.guidance_scale}
        wish |= {"size": mini.drawn, "native": mini.drawn}
        peer = None
        if plan.diffusers and not plan.smoke:
            peer = stack.enter_context(Drawer([plan.diffusers, "-m", "bench.peer"]))
        for many in MANY if not plan.smoke else (2,):
            plan.told(f"{many} at once")
            subjects: dict[str, Measure] = {
                OURS: _of(runner, _together, draw, many),
                ALONE: _of(runner, _in_turn, draw, many),
            }
            if peer is not None:
                subjects[DIFFUSERS] = _by(peer, wish, many)
            found += rows(f"{many} at once", plan.interleaved(subjects), {OURS: "ours"})
    aims = [
        *aim("8 at once: times one after the other", 1.3, times(found, "8 at once", OURS, ALONE, "rate")),
        *aim("1 at once: times diffusers eager", 4, times(found, "1 at once", OURS, DIFFUSERS, "rate")),
        *aim("8 at once: times diffusers eager", 4, times(found, "8 at once", OURS, DIFFUSERS, "rate")),
    ]
    return Result(rows=found, aims=aims, versions={"weights": card.weights})


async def _together(draw: Draw, many: int) -> None:
    await asyncio.gather(*(draw(seed) for seed in range(many)))


async def _in_turn(draw: Draw, many: int) -> None:
    for seed in range(many):
        await draw(seed)


def _of(
    runner: asyncio.Runner, way: Callable[[Draw, int], Coroutine[Any, Any, None]], draw: Draw, many: int
) -> Measure:
    def run(number: int) -> Values:
        begun, spent = time.perf_counter(), time.process_time()
        runner.run(way(draw, many))
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        return {"wall": 1e3 * wall, "rate": many / wall, "cpu": 1e3 * cpu / many}

    return run


def _by(peer: Drawer, wish: dict[str, Any], many: int) -> Measure:
    def run(number: int) -> Values:
        costs = [peer.draw(**wish, seed=seed) for seed in range(many)]
        wall, cpu = sum(cost["wall"] for cost in costs), sum(cost["cpu"] for cost in costs)
        return {"wall": wall, "rate": 1e3 * many / wall, "cpu": cpu / many}

    return run
