"""The peers' way to serve a picture: FastAPI, pydantic, Pillow's default PNG, base64 as text in a JSON encoder.

python -m bench.fastapi_server --port PORT --pixels FILE (raw RGB rows of a square)
python -m bench.fastapi_server --port PORT --embedded STEPS: our embedded model instead, with nothing to cancel it
"""

import argparse
import base64
import io
import math
import time
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

Draw = Callable[[str], PIL.Image.Image]


class GenerationRequest(BaseModel):
    """The fields that matter here."""

    prompt: str
    n: int = 1
    size: str | None = None
    response_format: str = "b64_json"


class ImageData(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class GenerationResponse(BaseModel):
    """All of them."""

    created: int
    data: list[ImageData]


def encoded(picture: PIL.Image.Image) -> str:
    """As base64 of a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode("utf-8")


def application(draw: Draw) -> FastAPI:
    """The server."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/v1/images/generations")
    async def generations(request: GenerationRequest) -> GenerationResponse:
        pictures = [await run_in_threadpool(draw, request.prompt) for _ in range(request.n)]
        return GenerationResponse(
            created=int(time.time()), data=[ImageData(b64_json=encoded(picture)) for picture in pictures]
        )

    return app


def fixed(path: Path) -> Draw:
    """The same picture for every prompt."""
    pixels = path.read_bytes()
    side = math.isqrt(len(pixels) // 3)
    return lambda prompt: PIL.Image.frombytes("RGB", (side, side), pixels)


def embedded(steps: int) -> Draw:
    """limner-mini, run to the end whoever has hung up."""
    import asyncio

    from limner.engines.mini import MiniEngine
    from limner.types import Image

    loop, mini = asyncio.new_event_loop(), MiniEngine()
    loop.run_until_complete(mini.__aenter__())

    async def drawn(prompt: str) -> Image:
        request = mini.cards()[0].request(prompt, num_inference_steps=steps)
        (image,) = [event async for event in mini.generate(request) if isinstance(event, Image)]
        return image

    def draw(prompt: str) -> PIL.Image.Image:
        image = loop.run_until_complete(drawn(prompt))
        return PIL.Image.frombytes("RGB", (image.width, image.height), image.data)

    return draw


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pixels", type=Path)
    parser.add_argument("--embedded", type=int)
    chosen = parser.parse_args()
    draw = embedded(chosen.embedded) if chosen.embedded else fixed(chosen.pixels)
    uvicorn.run(application(draw), host="127.0.0.1", port=chosen.port, log_level="error")
