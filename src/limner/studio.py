"""The use case: a name and a wish in, events out.

The Studio routes a model name to the engine that has it, lets equal requests share one drawing, and has pictures
encoded beside the drawing of the next. It knows the Engine protocol and nothing else of engines.
"""

import contextlib
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from limner import __version__, codecs
from limner.cache import PictureCache
from limner.easel import Easel
from limner.encoders import Encoders
from limner.engine import Engine, Guests, Preloads
from limner.errors import ModelNotFoundError, NotReadyError
from limner.jobs import Job, fingerprint
from limner.line import Line
from limner.registry import ALIASES, DEFAULT_MODEL
from limner.tally import Tally
from limner.types import Event, Image, ImageRequest, ModelCard, nearest

if TYPE_CHECKING:
    from limner.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Pictures that are coming."""

    # Where from: "miss", drawn for this request; "joined", being drawn for an equal one; "hit", kept from an equal one;
    # "off", drawn for this request, which no other may share.
    origin: str
    # Gives the events; to be called once.
    events: Callable[[], AsyncGenerator[Event, None]]


class Studio:
    """Owns the engines. `async with studio:` opens them and closes them again."""

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        max_queue: int = 256,
        max_wait: float = 300.0,
        metadata: str = "full",
        single_flight: bool = False,
        cache_bytes: int = 0,
        aliases: Mapping[str, Sequence[str]] = ALIASES,
        guests: Guests | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_queue` requests and `max_wait` seconds may wait at each engine. `cache_bytes` 0 keeps nothing."""
        self.tally = Tally()
        self.encoders = Encoders()
        self.cache = PictureCache(cache_bytes)
        self._line = partial(Line, max_queue=max_queue, max_wait=max_wait, clock=clock)
        self._cards: dict[str, ModelCard] = {}
        self._easels: dict[str, Easel] = {}
        self._guests = guests
        self._seated: Sequence[Engine] = ()
        for engine in engines:
            self._seat(engine)
        self._aliases = aliases
        self._metadata = metadata
        self._single_flight = single_flight
        # Gone with the last who reads them.
        self._flights: weakref.WeakValueDictionary[str, Job[Event]] = weakref.WeakValueDictionary()
        self._exits = contextlib.AsyncExitStack()
        self.ready = False

    @classmethod
    def configured(cls, engines: Sequence[Engine], settings: "Settings", guests: Guests | None = None) -> Self:
        """A Studio of `engines` as the settings want it."""
        return cls(
            engines,
            max_queue=settings.max_queue,
            max_wait=settings.max_wait,
            metadata=settings.metadata,
            single_flight=settings.single_flight,
            cache_bytes=settings.cache_bytes,
            guests=guests,
        )

    def preload(self) -> None:
        """Have the engines that can begin to load, while the caller does what else a start takes."""
        for easel in self.easels():
            if isinstance(easel.engine, Preloads):
                easel.engine.preload()

    async def __aenter__(self) -> Self:
        for easel in self.easels():
            await self._exits.enter_async_context(easel.engine)
        if self._guests is not None:
            await self._exits.enter_async_context(self._guests)
        self.ready = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ready = False
        await self._exits.aclose()
        self.encoders.close()

    def _seat(self, engine: Engine) -> None:
        cards = {card.id: card for card in engine.cards()}
        # An engine of several models draws as many at once as the most capable of them.
        easel = Easel(engine, self._line(max(card.concurrency for card in cards.values())), self.tally)
        self._cards |= cards
        self._easels |= dict.fromkeys(cards, easel)

    def _look_at_guests(self) -> None:
        """Give engines that have come an easel, and forget those that have gone; what they are drawing goes on."""
        if self._guests is None or (now := self._guests.engines()) is self._seated:
            return
        for engine in self._seated:
            if engine not in now:
                for card in engine.cards():
                    del self._easels[card.id], self._cards[card.id]
        for engine in now:
            if engine not in self._seated:
                self._seat(engine)
        self._seated = now

    def absent(self) -> Mapping[str, str]:
        """Models that somebody may ask for and that cannot run here, with the reasons."""
        return self._guests.absent() if self._guests else {}

    def cards(self) -> list[ModelCard]:
        """Every model that can be served here."""
        self._look_at_guests()
        return list(self._cards.values())

    def names(self) -> dict[str, ModelCard]:
        """Every name that a request may use, aliases too, with the card that answers to it."""
        self._look_at_guests()
        found = dict(self._cards)
        for alias, choices in (self._guests.aliases() if self._guests else self._aliases).items():
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
        absent = self.absent()
        if wanted in absent:
            raise ModelNotFoundError(absent[wanted], param="model", code="model_not_available")
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
        return sum(easel.line.waiting for easel in self.easels())

    @property
    def wait(self) -> float:
        """Seconds until all that is here now would be done, at the engine with the longest line."""
        return max(easel.line.wait() for easel in self.easels())

    def easels(self) -> list[Easel]:
        """The engines and their lines."""
        return list(dict.fromkeys(self._easels.values()))

    async def warm_up(self) -> None:
        """Learn how long the models take that say so in their cards. For a task of its own, when the studio is open."""
        for card in self.cards():
            if card.warm_up:
                await self._easels[card.id].warm_up(card)

    def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """The events of `draw`, for whoever does not care where they come from."""
        return self.draw(request).events()

    def draw(self, request: ImageRequest) -> Drawing:
        """Begin to draw, join equal work that goes on, or take what was kept.

        Its events are the engine's, pictures and previews encoded as the request asks. Closing their iterator gives the
        place in the line back, or stops the engine within one step, unless another waits for the same.

        Raises:
            NotReadyError: the studio is not open.

        The events raise:
            QueueFullError: too much waits; `retry_after` is an estimate from the real line.
            EngineError: the engine failed.
        """
        if not self.ready:
            raise NotReadyError("The server is starting or stopping; try again in a moment.", retry_after=1)
        if request.model not in self._cards:
            raise ModelNotFoundError(f"{request.model} was removed a moment ago.", param="model")
        drawing = self._drawing(request)
        self.tally.origins[drawing.origin] += 1
        return drawing

    def _drawing(self, request: ImageRequest) -> Drawing:
        # The file of a LoRA may be another one tomorrow, under the same name.
        if not request.seeded or request.loras or not (self._single_flight or self.cache.limit):
            return Drawing(origin="off", events=partial(self._drawn, request))
        # All that decides about the bytes, but for the seed: the k-th of n pictures is the file of its seed alone.
        alike = replace(request, n=1, seed=0, partial_images=0)
        name = fingerprint(__version__, self._metadata, self._cards[request.model].weights, alike)
        names = [f"{name}:{request.seed_of(index)}" for index in range(request.n)]
        kept = self.cache.get(names)
        if kept is not None:
            return Drawing(origin="hit", events=partial(_replayed, kept))
        if not self._single_flight:
            return Drawing(origin="miss", events=partial(self._kept, request, names))
        flight = f"{names[0]}:{request.n}:{request.partial_images}"
        job = self._flights.get(flight)
        if job is not None and job.ended is None and not job.failed:
            return Drawing(origin="joined", events=job.read)
        job = self._flights[flight] = Job(partial(self._kept, request, names))
        return Drawing(origin="miss", events=job.read)

    async def _kept(self, request: ImageRequest, names: Sequence[str]) -> AsyncGenerator[Event, None]:
        made: list[Image] = []
        async with contextlib.aclosing(self._drawn(request)) as events:
            async for event in events:
                if isinstance(event, Image):
                    made.append(event)
                yield event
        # An engine that gave too few is found out later, and what it gave is not kept.
        if len(made) == len(names):
            for name, image in zip(names, made, strict=True):
                self.cache.put(name, image)

    def _drawn(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        weights = self._cards[request.model].weights

        def encode(image: Image, final: bool) -> Image:
            made = codecs.recipe(request, image.seed, weights=weights, version=__version__) if final else None
            return codecs.encode(image, request, made, metadata=self._metadata)

        return self.encoders.run(self._easels[request.model].draw(request), encode)


async def _replayed(kept: Sequence[Image]) -> AsyncGenerator[Event, None]:
    for index, image in enumerate(kept):
        yield replace(image, index=index)
