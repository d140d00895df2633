"""The use case: a name and a wish in, events out.

The Studio routes a model name to the engine that has it, lets as many requests at each engine as it draws at once,
bounds the line of those who wait, and encodes pictures off the event loop. It knows the Engine protocol and nothing
else of engines.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from limner import __version__, codecs
from limner.encoders import Encode, Encoders
from limner.engine import Engine
from limner.errors import ModelNotFoundError, NotReadyError, QueueFullError
from limner.registry import ALIASES, DEFAULT_MODEL
from limner.types import Event, Image, ImageRequest, ModelCard, nearest

# openai-python does not retry at all when it is told to wait longer than this.
MAX_RETRY_AFTER = 120.0


class _Line:
    """Who is at one engine and who waits for it, first come first served."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        # An engine of several models draws as many at once as the most capable of them.
        self.turns = asyncio.Semaphore(max(card.concurrency for card in engine.cards()))
        self.waiting = 0
        # Mean seconds of a request here, over the last few; a guess until the first has ended.
        self.seconds = 1.0

    def took(self, seconds: float) -> None:
        self.seconds += 0.3 * (seconds - self.seconds)


class Studio:
    """Owns the engines. `async with studio:` opens them and closes them again."""

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        max_queue: int = 32,
        metadata: str = "full",
        aliases: Mapping[str, tuple[str, ...]] = ALIASES,
    ) -> None:
        self._lines = {card.id: line for engine in engines for line in [_Line(engine)] for card in engine.cards()}
        self._cards = {card.id: card for engine in engines for card in engine.cards()}
        self._aliases = aliases
        self._max_queue = max_queue
        self._metadata = metadata
        self._encoders = Encoders()
        self._exits = contextlib.AsyncExitStack()
        self.ready = False

    async def __aenter__(self) -> Self:
        for line in {id(line): line for line in self._lines.values()}.values():
            await self._exits.enter_async_context(line.engine)
        self.ready = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ready = False
        await self._exits.aclose()
        self._encoders.close()

    def cards(self) -> list[ModelCard]:
        """Every model that can be served here."""
        return list(self._cards.values())

    def names(self) -> dict[str, ModelCard]:
        """Every name that a request may use, aliases too, with the card that answers to it."""
        found = dict(self._cards)
        for alias, choices in self._aliases.items():
            card = next((self._cards[c] for c in choices if c in self._cards), None)
            if card is not None:
                found.setdefault(alias, card)
        return found

    def card(self, name: str | None) -> ModelCard:
        """The card that answers to `name`; None is the default model.

        Raises:
            ModelNotFoundError: nothing answers to it; the message lists the nearest names.
        """
        names = self.names()
        wanted = name or DEFAULT_MODEL
        if wanted in names:
            return names[wanted]
        close = nearest(wanted, list(names)) or list(names)
        raise ModelNotFoundError(
            f"The model {wanted[:80]!r} does not exist here; the nearest names are {', '.join(close)}.", param="model"
        )

    def request(self, model: str | None, prompt: str, wishes: Mapping[str, Any]) -> ImageRequest:
        """Resolve a wish against the card that `model` names. Raises InvalidRequestError."""
        return self.card(model).request(prompt, **wishes)

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return sum(line.waiting for line in {id(line): line for line in self._lines.values()}.values())

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """Wait for a turn, then yield the engine's events, pictures and previews encoded as the request asks.

        Closing the iterator gives the place in the line back, or stops the engine within one step.

        Raises:
            QueueFullError: as many requests wait as may; `retry_after` is an estimate from the real line.
            NotReadyError: the studio is not open.
            EngineError: the engine failed.
        """
        if not self.ready:
            raise NotReadyError("The server is starting or stopping; try again in a moment.", retry_after=1)
        async with contextlib.aclosing(self._encoders.run(self._drawn(request), self._encoder(request))) as events:
            async for event in events:
                yield event

    async def _drawn(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """The engine's own events. The turn ends with them, while the last pictures are still being encoded."""
        line = self._lines[request.model]
        async with self._turn(line):
            begun = time.monotonic()
            async with contextlib.aclosing(line.engine.generate(request)) as events:
                async for event in events:
                    yield event
            line.took(time.monotonic() - begun)

    @contextlib.asynccontextmanager
    async def _turn(self, line: _Line) -> AsyncGenerator[None]:
        if line.turns.locked() and line.waiting >= self._max_queue:
            wait = min(MAX_RETRY_AFTER, max(1.0, math.ceil(line.seconds * (line.waiting + 1))))
            raise QueueFullError(
                f"{line.waiting} requests wait already, which is the limit; try again in about {wait:.0f} s.",
                retry_after=wait,
            )
        line.waiting += 1
        try:
            await line.turns.acquire()
        finally:
            line.waiting -= 1
        try:
            yield
        finally:
            line.turns.release()

    def _encoder(self, request: ImageRequest) -> Encode:
        weights = self._cards[request.model].weights

        def encode(image: Image, final: bool) -> Image:
            made = codecs.recipe(request, image.seed, weights=weights, version=__version__) if final else None
            return codecs.encode(image, request, made, metadata=self._metadata)

        return encode
