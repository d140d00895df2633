"""C10: requests that come when they come (Poisson), at 0.3, 0.7, 0.9 and 1.2 times what one after the other can take.

Three policies over the same engine. One after the other; a window: wait 20 ms for others, draw them together, and let
nobody in until all are done; ours: whoever comes joins at the next denoising step. The limit is ours as it would be if
the engine cost exactly what it was measured to cost at each number of pictures, and nothing else took any time.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench.plan import Plan, Result
from bench.report import Aim, Row, Values, aim, find, rows
from bench.subjects import PROMPT

FIFO, WINDOW, OURS, LIMIT = "one after the other", "a window of 20 ms", "limner: joins at a step", "ours, simulated"
LOADS = (0.3, 0.7, 0.9, 1.2)
# Requests of a round, and rounds: a round at 0.3 lasts as long as a hundred pictures.
COUNT, FEW = 30, 3
SECONDS = 0.02
Draw = Callable[[int], Awaitable[None]]


def measure(plan: Plan) -> Result:
    """Every load under every policy."""
    return asyncio.run(_measure(plan))


async def _measure(plan: Plan) -> Result:
    from limner.engines.mini import MiniEngine
    from limner.types import Image

    found: list[Row] = []
    async with MiniEngine() as mini:
        (card, *_) = mini.cards()
        most = max(1, card.concurrency)

        async def draw(seed: int) -> None:
            request = card.request(PROMPT, seed=seed, **({"num_inference_steps": 1} if plan.smoke else {}))
            made = [event async for event in mini.generate(request) if isinstance(event, Image)]
            assert len(made) == 1

        steps = card.request(PROMPT).num_inference_steps
        curve = await _curve(draw, most)
        plan.told(f"seconds for 1 to {most} at once: {', '.join(f'{value:.3f}' for value in curve)}")
        order = random.Random(1)
        for load in LOADS if not plan.smoke else (0.9,):
            plan.told(f"{load} of capacity")
            costs: dict[str, list[Values]] = {FIFO: [], WINDOW: [], OURS: [], LIMIT: []}
            for number in range(plan.count(FEW, 1)):
                gaps = _gaps(load / curve[0], plan.count(COUNT, 4), number)
                for name in order.sample([FIFO, WINDOW, OURS], 3):
                    costs[name].append(await _round(POLICIES[name], draw, gaps, most))
                costs[LIMIT].append(_summary(*simulated(gaps, curve, steps)))
            found += rows(f"{load} of capacity", costs, {OURS: "ours", LIMIT: "limit"})
    note = f"the engine draws {most} at once; capacity is that of one after the other, {1 / curve[0]:.1f} a second"
    found[0] = Row(**{**vars(found[0]), "note": note})
    return Result(rows=found, aims=_aims(found), versions={})


def _aims(rows: list[Row]) -> list[Aim]:
    def share(column: str, figure: str, other: str) -> Callable[[], float]:
        return lambda: find(rows, figure, OURS)[column] / find(rows, figure, other)[column]

    return [
        *aim("0.9: p99, of one after the other's", 0.5, share("p99", "0.9 of capacity", FIFO), most=True),
        *aim("0.3: p50, of one after the other's", 1.05, share("p50", "0.3 of capacity", FIFO), most=True),
        *aim("1.2: pictures a second, of the simulated optimum", 0.95, share("rate", "1.2 of capacity", LIMIT)),
    ]


async def _curve(draw: Draw, most: int) -> list[float]:
    """Seconds for 1, 2, ... `most` requests that begin together; each the median of three."""
    found: list[float] = []
    for many in range(1, most + 1):
        taken = []
        for number in range(4):
            begun = time.perf_counter()
            await asyncio.gather(*(draw(seed) for seed in range(many)))
            # The first warms up.
            taken += [time.perf_counter() - begun] if number else []
        # More at once never take less; what says so is noise.
        found.append(max(sorted(taken)[1], found[-1] if found else 0.0))
    return found


def _gaps(rate: float, count: int, seed: int) -> list[float]:
    """Seconds between requests: exponential, the same for every policy."""
    dice = random.Random(seed)
    return [dice.expovariate(rate) for _ in range(count)]


class InTurn:
    """One after the other, in the order in which they came."""

    def __init__(self, draw: Draw, most: int) -> None:
        self._draw, self._turn = draw, asyncio.Lock()

    async def drawn(self, seed: int) -> None:
        async with self._turn:
            await self._draw(seed)


class Window:
    """Waits a moment for company, draws all who came together, and only then looks again."""

    def __init__(self, draw: Draw, most: int) -> None:
        self._draw, self._most = draw, most
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._running: asyncio.Task[None] | None = None

    async def drawn(self, seed: int) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((seed, done))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._work())
        await done

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(SECONDS)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await asyncio.gather(*(self._draw(seed) for seed, _ in batch))
            for _, done in batch:
                done.set_result(None)


class Joined:
    """As the studio does it: as many as the engine draws at once, each as soon as there is room."""

    def __init__(self, draw: Draw, most: int) -> None:
        self._draw, self._room = draw, asyncio.Semaphore(most)

    async def drawn(self, seed: int) -> None:
        async with self._room:
            await self._draw(seed)


POLICIES: dict[str, Any] = {FIFO: InTurn, WINDOW: Window, OURS: Joined}


async def _round(policy: Any, draw: Draw, gaps: Sequence[float], most: int) -> Values:
    waits, begun = [], time.perf_counter()
    serving = policy(draw, most)

    async def one(seed: int, at: float) -> None:
        await serving.drawn(seed)
        # From when it should have come: a loop that is late must not flatter itself.
        waits.append(time.perf_counter() - begun - at)

    tasks, at = [], 0.0
    for seed, gap in enumerate(gaps):
        at += gap
        await asyncio.sleep(max(0.0, begun + at - time.perf_counter()))
        tasks.append(asyncio.create_task(one(seed, at)))
    await asyncio.gather(*tasks)
    return _summary(waits, time.perf_counter() - begun)


def simulated(gaps: Sequence[float], curve: Sequence[float], steps: int) -> tuple[list[float], float]:
    """Seconds that each request waits, and all of them, where a step of k pictures costs curve[k - 1] / steps."""
    times, at = [], 0.0
    for gap in gaps:
        at += gap
        times.append(at)
    now, waits, coming = 0.0, [], list(times)
    # When each came, and the steps that it still needs.
    inside: list[list[float]] = []
    while coming or inside:
        while coming and coming[0] <= now and len(inside) < len(curve):
            inside.append([coming.pop(0), steps])
        if not inside:
            now = coming[0]
            continue
        now += curve[len(inside) - 1] / steps
        for each in inside:
            each[1] -= 1
        waits += [now - came for came, left in inside if left <= 0]
        inside = [each for each in inside if each[1] > 0]
    return waits, now


def _summary(waits: Sequence[float], seconds: float) -> Values:
    ordered = sorted(waits)
    p50, p99 = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return {"p50": 1e3 * p50, "p99": 1e3 * p99, "rate": len(waits) / seconds}
