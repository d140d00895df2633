"""Who waits to be drawn by a diffusers engine, and what is drawn together."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from limner.types import Event, ImageRequest

# Seconds that the others of a batch wait for a reader who takes his time.
COMPANY_WAITS = 0.05


class Cancelled(BaseException):
    """Nobody reads what is being drawn. Not an Exception: no library's clean-up may keep it."""


class Seat:
    """One request, between the event loop, where it is read, and the device's thread, where it is drawn."""

    def __init__(self, request: ImageRequest) -> None:
        self.request = request
        # Pictures given to the device so far.
        self.begun = 0
        # Steps done, over all pictures.
        self.stepped = 0
        self.cancelled = False
        # Whether pictures of it are on the device now.
        self.drawing = False
        self.ended = asyncio.Event()
        self.error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._given: asyncio.Queue[Sequence[Event] | None] = asyncio.Queue()
        self._asked = threading.Event()

    async def events(self) -> AsyncGenerator[Event, None]:
        """What is drawn, as it comes. Asking for more lets the device begin its next step."""
        while True:
            self._asked.set()
            batch = await self._given.get()
            if batch is None:
                if self.error is not None:
                    raise self.error
                return
            for event in batch:
                yield event

    def give(self, events: Sequence[Event]) -> None:
        """From the device's thread: events to be read in one piece, before `wait` lets it go on."""
        self._asked.clear()
        self._loop.call_soon_threadsafe(self._given.put_nowait, events)

    def wait(self, seconds: float | None = None) -> None:
        """From the device's thread: until all that was given is read, or the seat is left."""
        if not self.cancelled:
            self._asked.wait(seconds)

    def leave(self) -> None:
        """The reader is gone."""
        self.cancelled = True
        self._asked.set()

    def end_soon(self) -> None:
        """From the device's thread: the others of the batch go on without it."""
        self._loop.call_soon_threadsafe(self.ended.set)

    def end(self, error: BaseException | None = None) -> None:
        """On the event loop: nothing more will be given."""
        self.error = error
        self.ended.set()
        self._given.put_nowait(None)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture of a batch."""

    seat: Seat
    # Which of the request's pictures.
    index: int

    @property
    def request(self) -> ImageRequest:
        return self.seat.request

    @property
    def seed(self) -> int:
        """The picture's own seed."""
        return self.request.seed_of(self.index)


@dataclass(eq=False)
class Line:
    """Seats in the order in which they came. Only for the event loop."""

    # What must be equal for two requests to be drawn together, and how many such pictures the device takes at once.
    key: Callable[[ImageRequest], Hashable]
    room: Callable[[ImageRequest], int]
    seats: list[Seat] = field(default_factory=lambda: list[Seat]())

    def waits(self) -> list[Seat]:
        """Those with pictures that are not begun."""
        return [seat for seat in self.seats if seat.begun < seat.request.n and not seat.cancelled]

    def take(self) -> list[Row]:
        """The next batch: the first seat's pictures, and with room left those of others that suit it. Or none."""
        waiting = self.waits()
        if not waiting:
            return []
        first = waiting[0].request
        room, key = self.room(first), self.key(first)
        rows: list[Row] = []
        for seat in waiting:
            if self.key(seat.request) != key:
                continue
            while seat.begun < seat.request.n and len(rows) < room:
                rows.append(Row(seat=seat, index=seat.begun))
                seat.begun += 1
                seat.drawing = True
        return rows

    def leave(self, seat: Seat) -> None:
        """Take a seat out; raises nothing where it is out already."""
        if seat in self.seats:
            self.seats.remove(seat)


def seats_of(rows: Sequence[Row]) -> list[Seat]:
    """The seats of a batch, each once."""
    return list(dict.fromkeys(row.seat for row in rows))


def key_of(request: ImageRequest) -> tuple[Any, ...] | int:
    """Equal for requests whose pictures may be drawn as one batch; an edit is drawn by itself."""
    if request.images:
        return id(request)
    return (
        request.width,
        request.height,
        request.num_inference_steps,
        request.guidance_scale,
        bool(request.negative_prompt),
        request.loras,
        request.scheduler,
    )
