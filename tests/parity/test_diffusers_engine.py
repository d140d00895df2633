"""Our own checkpoint, a real FluxPipeline, drawn by the diffusers engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from limner.engines.diffusers import DiffusersEngine  # noqa: E402
from limner.engines.mini import MiniEngine  # noqa: E402
from limner.types import Image  # noqa: E402

CHECKPOINT = Path(__file__).parents[2] / "training" / "checkpoint"
# What makes the engine draw as limner-mini does: its noise, and the lengths that it pads prompts to.
AS_MINI = {"noise": "numpy", "lengths": (16, 32), "threads": 2}


def engine_of(**options) -> DiffusersEngine:
    (card,) = MiniEngine().cards()
    return DiffusersEngine(card, str(CHECKPOINT), **AS_MINI, **options)


@pytest.fixture
async def engine() -> AsyncIterator[DiffusersEngine]:
    async with engine_of() as opened:
        yield opened


def pixels(image: Image) -> np.ndarray:
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3).astype(int)


async def drawn(engine, request) -> list[Image]:
    return [event async for event in engine.generate(request) if isinstance(event, Image)]


async def test_equal_to_onnx(engine):
    async with MiniEngine() as mini:
        for prompt, wishes in [
            ("a cat", {"seed": 7}),
            ("a red apple", {"seed": 1, "guidance_scale": 1.0, "num_inference_steps": 8}),
        ]:
            request = mini.cards()[0].request(prompt, size="256x256", **wishes)
            (ours,), (theirs,) = await drawn(mini, request), await drawn(engine, request)
            assert np.abs(pixels(ours) - pixels(theirs)).max() <= 2
