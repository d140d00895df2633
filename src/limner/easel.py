"""An engine at work: the line before it, how long its models take, and what it has done."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from limner.engine import Engine
from limner.errors import LimnerError, QueueFullError
from limner.line import Line, Turn
from limner.pace import Pace
from limner.tally import Tally
from limner.types import Event, Image, ImageRequest, ModelCard, Progress

# Steps that are drawn to learn a model's pace. The first may find caches cold; the time between the two counts.
WARM_UP_STEPS = 2


class Easel:
    """One engine, which draws for one request after another, or for as many at once as its cards say."""

    def __init__(self, engine: Engine, line: Line, tally: Tally) -> None:
        self.engine = engine
        self.line = line
        self._tally = tally
        self.models = [card.id for card in engine.cards()]
        self._paces = {model: Pace() for model in self.models}

    def seconds(self, request: ImageRequest) -> float:
        """What `request` will cost the engine, reckoned from what others took."""
        return self._paces[request.model].seconds(request)

    async def draw(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """Wait for a turn, then yield the engine's own events. The turn ends with them.

        Raises:
            QueueFullError: too much waits already.
            EngineError: the engine failed.
        """
        outcome = "failed"
        try:
            async with (
                self.line.turn(self.seconds(request)) as turn,
                contextlib.aclosing(self._timed(request, turn)) as events,
            ):
                async for event in events:
                    yield event
            outcome = "succeeded"
        except (asyncio.CancelledError, GeneratorExit):
            outcome = "cancelled"
            raise
        except QueueFullError:
            outcome = "refused"
            raise
        finally:
            self._tally.requests[request.model, outcome] += 1

    async def warm_up(self, card: ModelCard) -> None:
        """Draw two steps of nothing in particular, to learn how long they take; at once given up when somebody waits.

        What fails here fails again for whoever asks first, and is told to him.
        """
        request = card.request("a", seed=0, num_inference_steps=min(WARM_UP_STEPS, card.max_steps))
        with contextlib.suppress(LimnerError):
            async with self.line.turn(0.0) as turn, contextlib.aclosing(self._timed(request, turn)) as events:
                async for _ in events:
                    if self.line.waiting or self.line.running > 1:
                        return

    async def _timed(self, request: ImageRequest, turn: Turn) -> AsyncGenerator[Event, None]:
        steps, first, last = 0, 0.0, 0.0
        try:
            async with contextlib.aclosing(self.engine.generate(request)) as events:
                async for event in events:
                    if isinstance(event, Progress):
                        last = turn.used
                        first, steps = first or last, steps + 1
                    elif isinstance(event, Image):
                        self._tally.pictures[request.model] += 1
                    yield event
            self._paces[request.model].learn(request, steps=steps, stepping=last - first, whole=turn.used)
        finally:
            self._tally.seconds[request.model] += turn.used
