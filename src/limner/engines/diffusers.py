"""Any text-to-image model that diffusers knows, behind the engine's one verb. Meant to run in a worker's child.

Nothing heavy is imported before it is opened. One thread talks to the device; requests that suit each other and wait
at the same time are drawn as one batch, and nobody waits on a timer.
"""

import asyncio
import importlib
import logging
from collections.abc import AsyncGenerator, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self

from limner.engines.diffusers_drawing import Drawer
from limner.engines.diffusers_family import FAMILIES
from limner.engines.diffusers_layout import check_layout
from limner.engines.diffusers_line import Cancelled, Line, Row, Seat, key_of, seats_of
from limner.engines.diffusers_loras import Loras
from limner.engines.diffusers_parts import Source, load
from limner.errors import EngineError
from limner.types import Event, ImageRequest, ModelCard

log = logging.getLogger(__name__)
# Pixels that a device draws at once for the price of fewer: above, a batch of two takes as long as two pictures.
BATCH_PIXELS = 4 * 512 * 512


class DiffusersEngine:
    """Draws with the pipeline in `folder`, or in one .safetensors file.

    `card`: what the model accepts; the engine takes out what the class cannot do and adds schedulers and LoRAs.
    `loras`: a folder of .safetensors files that requests may name; "" is none. `max_batch`: pictures drawn at once, as
    far as their pixels let them. `source`: see `diffusers_parts.Source`. `noise`, `lengths`, `speed`: see `Drawer`.
    """

    def __init__(
        self,
        card: ModelCard,
        folder: str,
        *,
        loras: str = "",
        max_batch: int = 4,
        threads: int | None = None,
        noise: str = "torch",
        lengths: Sequence[int] = (),
        speed: str = "auto",
        **source: str,
    ) -> None:
        self._source = Source(folder=str(folder), **source)
        self._card = card
        self._folder_of_loras = loras
        self._max_batch = max_batch
        self._threads = threads
        self._options: dict[str, Any] = {"noise": noise, "lengths": lengths, "speed": speed}
        self._line = Line(key=self._key, room=self._room)
        self._device = ThreadPoolExecutor(1, thread_name_prefix="limner-diffusers")
        self._drawer: Drawer | None = None
        self._busy = False

    def cards(self) -> Sequence[ModelCard]:
        family = FAMILIES[check_layout(self._source.folder, self._source.pipeline)]
        can = {"preview"}
        can |= {"generate"} if family.generate else set()
        can |= {"edit"} if family.edit or family.vary else set()
        can |= {"vary"} if family.vary else set()
        can |= {"edit", "mask"} if family.fill or family.edit else set()
        abilities = [ability for ability in self._card.abilities if ability in can]
        return [
            replace(
                self._card,
                abilities=(*abilities, *(["lora"] if self._folder_of_loras else [])),
                schedulers=tuple(family.schedulers),
                concurrency=max(self._card.concurrency, self._max_batch),
            )
        ]

    async def __aenter__(self) -> Self:
        self._drawer = await asyncio.get_running_loop().run_in_executor(self._device, self._load)
        return self

    async def __aexit__(self, *_: object) -> None:
        for seat in list(self._line.seats):
            seat.leave()
        await asyncio.get_running_loop().run_in_executor(None, self._device.shutdown)
        self._drawer = None

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        seat = Seat(request)
        self._line.seats.append(seat)
        self._next()
        try:
            async with aclosing(seat.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._line.leave(seat)
            seat.leave()
            if seat.drawing:
                # Shielded: a cancelled reader must still not return before the running step has ended.
                await asyncio.shield(seat.ended.wait())

    def _load(self) -> Drawer:
        if self._threads:
            importlib.import_module("torch").set_num_threads(self._threads)
        parts = load(self._source)
        return Drawer(parts, Loras(parts.base, self._folder_of_loras), **self._options)

    def _next(self) -> None:
        """Give the device its next batch, if it is free and somebody waits."""
        if self._busy or self._drawer is None:
            return
        rows = self._line.take()
        loop = asyncio.get_running_loop()
        if not rows:
            if self._drawer.tuner:
                self._busy = True
                tuned = self._device.submit(self._drawer.idle)
                tuned.add_done_callback(lambda tuned: loop.call_soon_threadsafe(self._tuned, tuned))
            return
        self._busy = True
        drawn = self._device.submit(self._drawer.draw, rows)
        drawn.add_done_callback(lambda drawn: loop.call_soon_threadsafe(self._drawn, rows, drawn))

    def _drawn(self, rows: Sequence[Row], drawn: "Future[None]") -> None:
        self._busy = False
        error = drawn.exception()
        for seat in seats_of(rows):
            seat.drawing = False
            if error is not None or seat.cancelled or seat.begun == seat.request.n:
                self._line.leave(seat)
                seat.end(_told(error))
        self._next()

    def _tuned(self, tuned: "Future[bool]") -> None:
        self._busy = False
        if error := tuned.exception():
            log.warning("the forms of the model could not be measured", exc_info=error)
        if (error is None and tuned.result()) or self._line.waits():
            self._next()

    def _key(self, request: ImageRequest) -> Hashable:
        return key_of(request)

    def _room(self, request: ImageRequest) -> int:
        if request.images:
            return 1
        return max(1, min(self._max_batch, BATCH_PIXELS // (request.width * request.height)))


def _told(error: BaseException | None) -> BaseException | None:
    """What the reader is told of what the device's thread ended with."""
    if isinstance(error, Cancelled):
        return None
    # torch's own class of a full device.
    if "OutOfMemory" in type(error).__name__:
        return EngineError(
            "The device has not enough memory for this picture; ask for a smaller size or for fewer pictures.",
            code="out_of_memory",
        )
    return error
