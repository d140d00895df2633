"""Pictures become files beside the drawing of the next ones: on threads of their own, off the event loop."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

from limner.types import RAW_RGB, RAW_RGBA, Event, Image, Preview, Progress

# Raw pictures that may wait for a thread, in all; beyond that engines wait too, or memory would fill with pixels.
MAX_WAITING = 8
RAW = (RAW_RGB, RAW_RGBA)
# Makes a file of a picture; the flag says whether it is a finished one.
Encode = Callable[[Image, bool], Image]


class Encoders:
    """The threads that write files. `seconds` is what they have spent in all."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(threads or min(4, os.cpu_count() or 1), thread_name_prefix="limner-encode")
        self._room = asyncio.Semaphore(MAX_WAITING)
        self.seconds = 0.0

    def close(self) -> None:
        """Let running work end."""
        self._threads.shutdown()

    async def run(self, events: AsyncGenerator[Event, None], encode: Encode) -> AsyncGenerator[Event, None]:
        """Draw `events` out of their engine as fast as they come, and yield them in their order, pictures encoded.

        The engine is done with before the last pictures are: whoever waits for it need not wait for them. Closing the
        iterator closes `events`.
        """
        coming = asyncio.Queue[asyncio.Future[Event] | None]()
        drawing = asyncio.create_task(self._draw(events, encode, coming))
        drawing.add_done_callback(lambda _: coming.put_nowait(None))
        try:
            while (event := await coming.get()) is not None:
                yield await event
            drawing.result()
        finally:
            drawing.cancel()
            # The step that is under way ends before this returns.
            await asyncio.gather(drawing, return_exceptions=True)
            while not coming.empty():
                if (event := coming.get_nowait()) is not None:
                    event.cancel()

    async def _draw(
        self,
        events: AsyncGenerator[Event, None],
        encode: Encode,
        coming: "asyncio.Queue[asyncio.Future[Event] | None]",
    ) -> None:
        loop = asyncio.get_running_loop()
        async with aclosing(events):
            async for event in events:
                # Some engines give files; a thread would have nothing to do for them.
                if isinstance(event, Progress) or (isinstance(event, Image) and event.mime not in RAW):
                    made: asyncio.Future[Event] = loop.create_future()
                    made.set_result(event)
                else:
                    await self._room.acquire()
                    made = loop.run_in_executor(self._threads, self._encoded, event, encode)
                    made.add_done_callback(lambda _: self._room.release())
                coming.put_nowait(made)

    def _encoded(self, event: Image | Preview, encode: Encode) -> Event:
        begun = time.perf_counter()
        try:
            if isinstance(event, Preview):
                return Preview(image=encode(event.image, False))
            return encode(event, True)
        finally:
            # Threads may lose a little of each other's here; it is a figure to look at.
            self.seconds += time.perf_counter() - begun
