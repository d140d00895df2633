"""Our engine, drawing for `Drawer`: `python -m bench.embedded`.

With --bare, the limit beside it: the same graphs run as often by onnxruntime alone, with nothing around them.
"""

import asyncio
import os
import sys
from typing import Any

from bench.subjects import serve_lines


def engine() -> None:
    from limner.engines.mini import MiniEngine
    from limner.types import Image

    async def draw_with(mini: Any, wish: dict[str, Any]) -> bytes:
        request = mini.cards()[0].request(
            wish["prompt"],
            size=f"{wish['size']}x{wish['size']}",
            seed=wish["seed"],
            num_inference_steps=wish["steps"],
            guidance_scale=wish["guidance"],
        )
        events = [event async for event in mini.generate(request)]
        return next(event.data for event in events if isinstance(event, Image))

    loop = asyncio.new_event_loop()
    mini = MiniEngine()
    loop.run_until_complete(mini.__aenter__())
    facts = {"weights": mini.cards()[0].weights, "onnxruntime": _version("onnxruntime"), "limner": _version("limner")}
    serve_lines(facts, lambda wish: loop.run_until_complete(draw_with(mini, wish)))
    loop.run_until_complete(mini.__aexit__(None, None, None))
    loop.close()


def bare() -> None:
    import json
    from importlib.resources import files

    import numpy as np
    import onnxruntime as ort

    folder = files("limner") / "mini"
    facts = json.loads((folder / "card.json").read_text())
    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    # As the engine has it: spinning workers win nothing between steps and cost a core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    text, flux, decoder = (
        ort.InferenceSession((folder / name).read_bytes(), options, providers=["CPUExecutionProvider"])
        for name in ("text.onnx", "flux.onnx", "decoder.onnx")
    )
    side = facts["drawn"] // facts["pixels_per_token"]
    channels = facts["latent_channels"]
    short, long = facts["lengths"][0], facts["lengths"][-1]
    places = np.zeros((short + side * side, 3), np.float32)

    def draw(wish: dict[str, Any]) -> bytes:
        rows = 1 if wish["guidance"] == 1 else 2
        latents = np.zeros((rows, side * side, 4 * channels), np.float32)
        words, pooled = text.run(
            None, {"t5_ids": np.zeros((rows, short), np.int64), "clip_ids": np.zeros((rows, long), np.int64)}
        )
        inputs = {"latents": latents, "text": words, "pooled": pooled, "ids": places}
        for _ in range(wish["steps"]):
            flux.run(None, inputs | {"t": np.ones(rows, np.float32)})
        (pixels,) = decoder.run(None, {"latents": np.zeros((1, channels, 2 * side, 2 * side), np.float32)})
        return pixels.tobytes()

    serve_lines({}, draw)


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    bare() if "--bare" in sys.argv else engine()
