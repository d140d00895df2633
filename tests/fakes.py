"""A deterministic engine without a model: a gradient in the colours of the prompt's hash."""

import hashlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import PIL.Image

from limner.engine import from_blocking
from limner.errors import EngineError
from limner.types import RAW_RGB, RAW_RGBA, Event, Image, ImageRequest, ModelCard, Preview, Progress, Size

CARD = ModelCard(
    id="limner-mini",
    title="Gradient",
    licence="Apache-2.0",
    about="Draws a gradient.",
    created=1_790_000_000,
    owned_by="limner",
    native=Size(width=256, height=256),
    min_side=64,
    max_side=2048,
    quality_steps={"low": 2, "medium": 4, "high": 8},
    abilities=("generate", "preview", "edit", "mask", "vary", "transparent"),
    weights="0123456789ab",
)


class GradientEngine:
    """Takes `seconds` a step. The prompt "explode" fails at its second step. `stepped` counts steps begun.

    `asked` holds the requests that came, the last `remembered` of them. Of an edit it keeps what the mask keeps.
    `ledger`: a file that grows by a byte with each step, for those who cannot see `stepped`.
    """

    def __init__(self, seconds: float = 0.0, ledger: str = "", remembered: int = 1000) -> None:
        self.seconds = seconds
        self.ledger = ledger
        self.stepped = 0
        self.asked: deque[ImageRequest] = deque(maxlen=remembered)
        self._threads = ThreadPoolExecutor(1)

    def cards(self) -> Sequence[ModelCard]:
        return [CARD]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._threads.shutdown()

    def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        self.asked.append(request)
        return from_blocking(lambda: self._draw(request), self._threads)

    def _draw(self, request: ImageRequest) -> Iterator[Event]:
        total = request.n * request.num_inference_steps
        for index in range(request.n):
            for step in range(request.num_inference_steps):
                self.stepped += 1
                noted(self.ledger)
                time.sleep(self.seconds)
                if request.prompt == "explode" and step == 1:
                    raise EngineError("The engine exploded, as it was asked to.")
                yield Progress(step=index * request.num_inference_steps + step + 1, total=total)
                if step + 1 in request.preview_steps():
                    yield Preview(image=picture(request, index, (step + 1) / request.num_inference_steps))
            yield picture(request, index)


def noted(ledger: str) -> None:
    """One more step in the ledger, if there is one."""
    if ledger:
        with Path(ledger).open("ab") as file:
            file.write(b".")


def picture(request: ImageRequest, index: int, done: float = 1.0) -> Image:
    """The gradient, paler the less of it is `done`; of a transparent one the left half is not there."""
    seed = request.seed_of(index)
    colour = hashlib.sha256(f"{request.prompt}{seed}".encode()).digest()
    red, green = (255 - round(done * (255 - value)) for value in colour[:2])
    row = b"".join(bytes((red, green, x * 255 // request.width)) for x in range(request.width))
    whole = (request.width, request.height)
    mime, mode = (RAW_RGBA, "RGBA") if request.background == "transparent" else (RAW_RGB, "RGB")
    drawn = PIL.Image.frombytes("RGB", whole, row * request.height).convert(mode)
    if mode == "RGBA":
        drawn.paste((0, 0, 0, 0), (0, 0, request.width // 2, request.height))
    if request.mask:
        first = request.images[0]
        source = PIL.Image.frombytes("RGBA", (first.width, first.height), first.pixels).convert(mode).resize(whole)
        mask = PIL.Image.frombytes("L", (first.width, first.height), request.mask).resize(whole)
        drawn = PIL.Image.composite(drawn, source, mask)
    return Image(data=drawn.tobytes(), mime=mime, width=whole[0], height=whole[1], seed=seed, index=index)
