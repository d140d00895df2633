"""Our server with an engine that returns one picture, always the same, at once: what is left is what we cost.

python -m bench.null_server --port PORT --pictures FOLDER --pixels FILE (raw RGB rows of a square)
"""

import argparse
import math
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from limner.server.app import create_app
from limner.server.run import run
from limner.settings import Settings
from limner.store import FileStore
from limner.studio import Studio
from limner.types import RAW_RGB, Event, Image, ImageRequest, ModelCard, Size


class NullEngine:
    """Draws nothing: every request gets the same pixels."""

    def __init__(self, pixels: bytes) -> None:
        self._pixels, self._side = pixels, math.isqrt(len(pixels) // 3)

    def cards(self) -> Sequence[ModelCard]:
        native = Size(width=self._side, height=self._side)
        return [
            ModelCard(
                id="limner-mini",
                title="A picture, always the same",
                licence="Apache-2.0",
                about="Draws nothing.",
                created=0,
                owned_by="limner",
                native=native,
                min_side=64,
                max_side=2048,
                quality_steps=MappingProxyType({"low": 1, "medium": 1, "high": 1}),
                concurrency=64,
            )
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        for index in range(request.n):
            seed = request.seed_of(index)
            yield Image(data=self._pixels, mime=RAW_RGB, width=self._side, height=self._side, seed=seed, index=index)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--pixels", type=Path, required=True)
    chosen = parser.parse_args()
    settings = Settings.load(port=chosen.port, pictures=chosen.pictures, max_queue=128)
    studio = Studio([NullEngine(chosen.pixels.read_bytes())], max_queue=settings.max_queue)
    run(create_app(studio, FileStore(settings.pictures), settings), settings)
