"""diffusers, eager and in single precision, on the checkpoint that our graphs were exported from.

    python -m bench.peer                                      draws for `Drawer`
    python -m bench.peer --count STEPS GUIDANCE SIDE         prints the arithmetic of one picture, in GFLOP
    python -m bench.peer --once OUT.png STEPS GUIDANCE SIDE  loads, draws one picture, saves it, ends

A wish's `native` is the side at which to denoise; the picture is then resampled to `size`. Runs in .venv-parity.
"""

import sys
from pathlib import Path
from typing import Any

from bench.subjects import PROMPT, serve_lines

CHECKPOINT = Path(__file__).parents[1] / "training" / "checkpoint"


def load() -> Any:
    import torch
    from diffusers import FluxPipeline

    pipeline = FluxPipeline.from_pretrained(CHECKPOINT, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def draw(pipeline: Any, wish: dict[str, Any]) -> Any:
    import numpy as np
    import PIL.Image
    import torch

    side = wish["native"] // (2 * pipeline.vae_scale_factor)
    shape = (1, side * side, pipeline.transformer.config.in_channels)
    # Our engine's noise, so that both draw the same picture.
    noise = np.random.RandomState(wish["seed"]).standard_normal(shape).astype(np.float32)
    picture = pipeline(
        wish["prompt"],
        negative_prompt="",
        true_cfg_scale=wish["guidance"],
        num_inference_steps=wish["steps"],
        width=wish["native"],
        height=wish["native"],
        # What the model is trained with; diffusers' own default is a longer one.
        max_sequence_length=pipeline.tokenizer_2.model_max_length,
        latents=torch.from_numpy(noise),
    ).images[0]
    if wish["size"] != wish["native"]:
        picture = picture.resize((wish["size"], wish["size"]), PIL.Image.Resampling.LANCZOS)
    return picture


def _wish(steps: str, guidance: str, side: str) -> dict[str, Any]:
    size = {"size": int(side), "native": int(side)}
    return {"prompt": PROMPT, "seed": 7, "steps": int(steps), "guidance": float(guidance), **size}


def main() -> None:
    """Draw what the command line asks for."""
    import diffusers
    import torch

    pipeline = load()
    if "--once" in sys.argv:
        out, steps, guidance, side = sys.argv[sys.argv.index("--once") + 1 :]
        draw(pipeline, _wish(steps, guidance, side)).save(out)
        return
    if "--count" in sys.argv:
        from torch.utils.flop_counter import FlopCounterMode

        steps, guidance, side = sys.argv[sys.argv.index("--count") + 1 :]
        with FlopCounterMode(display=False) as counter:
            draw(pipeline, _wish(steps, guidance, side))
        print(counter.get_total_flops() / 1e9)
        return
    facts = {"diffusers": diffusers.__version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    serve_lines(facts, lambda wish: draw(pipeline, wish).tobytes())


if __name__ == "__main__":
    main()
