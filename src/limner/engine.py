"""The Engine protocol, and the bridge that makes one of blocking code.

One verb: `generate`. Whoever iterates it drives the work; whoever closes it stops the work within one denoising
step. So progress, previews, streaming and cancelling are one mechanism.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from limner.errors import EngineError
from limner.types import Event, ImageRequest, ModelCard


@runtime_checkable
class Engine(Protocol):
    """Draws pictures. `async with engine:` loads what it needs and frees it again."""

    def cards(self) -> Sequence[ModelCard]:
        """The models it serves; needs no loading."""
        ...

    def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        """Yield `Progress` after each step and `n` times an `Image`, in order of index.

        An engine whose card has the ability "preview" also yields a `Preview` after each of the steps that
        `request.preview_steps()` names. Previews do not change the picture.

        Closing the iterator stops the work within one denoising step.

        Raises:
            EngineError: the engine broke on this request.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Guests(Protocol):
    """Engines that come and go while others serve, such as models that are pulled and removed."""

    def engines(self) -> Sequence[Engine]:
        """Those that can be asked now; the very same sequence as long as nothing changed. Each opens itself."""
        ...

    def aliases(self) -> Mapping[str, Sequence[str]]:
        """Names that may stand for several models, with the ids of those, best first."""
        ...

    def absent(self) -> Mapping[str, str]:
        """Names of models that cannot be asked now, each with the reason as a sentence."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Preloads(Protocol):
    """An engine that can begin to load before there is an event loop to open it on."""

    def preload(self) -> None:
        """Begin to load on a thread of its own, and return at once; opening it waits for the end and tells failures."""
        ...


def check_complete(request: ImageRequest, made: int) -> None:
    """Hold an engine to its promise of `n` pictures. Raises EngineError."""
    if made != request.n:
        raise EngineError(f"The engine gave {made} of {request.n} pictures.")


async def from_blocking(make: Callable[[], Iterator[Event]], executor: Executor) -> AsyncGenerator[Event, None]:
    """Run a blocking generator in `executor`, an item at a time, as an async iterator.

    The generator is advanced only when the consumer asks and is closed when the consumer stops, always on one of the
    executor's threads, after the step that is under way. It never runs on two threads at once.
    """
    loop = asyncio.get_running_loop()
    busy = threading.Lock()
    source = make()

    def advance() -> Event | None:
        with busy:
            return next(source, None)

    def close() -> None:
        with busy:
            closer = getattr(source, "close", None)
            if closer is not None:
                closer()

    try:
        while (event := await loop.run_in_executor(executor, advance)) is not None:
            yield event
    finally:
        # Shielded: a cancelled consumer must still not return before the running step has ended.
        await asyncio.shield(loop.run_in_executor(executor, close))
