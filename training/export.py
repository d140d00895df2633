"""From trained weights to what ships: a FluxPipeline checkpoint, and the ONNX graphs in src/limner/mini.

Weights are rounded to eight bits for each output channel (`grid.py`). The graphs hold the bytes, the checkpoint the
same values in half precision, and both are computed in single precision, so they draw the same picture.

    python export.py --run runs/first --checkpoint checkpoint --graphs ../src/limner/mini
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import onnx
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from torch import nn

from autoencoder import INNER, LATENTS, OUTER, build
from checkpoint import load
from flow import Painter
from flux import FluxConfig, positions
from grid import Grid
from step import Step
from text import LENGTH, clip_tokenizer, t5_tokenizer
from upscaler import Upscaler

# The scheduler's time shift: above 1 spends more steps where the layout is decided.
SHIFT = 1.5
# Chosen by eye and by the judge (LOG.md, 2026-11-24): drawings vary little, so few steps find them, and no guidance.
QUALITY_STEPS = {"low": 2, "medium": 4, "high": 16}
GUIDANCE = 1.0
# Whether the engine draws the things of a scene one by one: until the judge finds both of two without it.
ONE_BY_ONE = True
# Manners among which the seed chooses where a prompt names none.
SEED_STYLES = ("flat", "3d", "cartoon")
GRAPHS = ("text.onnx", "flux.onnx", "decoder.onnx", "encoder.onnx", "upscaler.onnx", "tokenizer.json")


class Text(nn.Module):
    """t5_ids (B, S), clip_ids (B, L), both int64 -> text (B, S, joint), pooled (B, pooled)."""

    def __init__(self, painter: Painter):
        super().__init__()
        self.t5, self.clip = painter.t5, painter.clip

    def forward(self, t5_ids, clip_ids):
        return self.t5(input_ids=t5_ids).last_hidden_state, self.clip(input_ids=clip_ids).pooler_output


class Decoder(nn.Module):
    """Unpacked latents (B, 32, h, w) at the flow's scale -> uint8 pixels (B, 32h, 32w, 3)."""

    def __init__(self, vae, shift: float, scale: float):
        super().__init__()
        self.decoder, self.shift, self.scale = vae.decoder, shift, scale

    def forward(self, latents):
        drawn = self.decoder(latents / self.scale + self.shift)
        return torch.round((drawn / 2 + 0.5).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)


class Encoder(nn.Module):
    """uint8 pixels (B, 32h, 32w, 3) -> the means of their latents, unpacked, at the flow's scale (B, 32, h, w)."""

    def __init__(self, vae, shift: float, scale: float):
        super().__init__()
        self.encoder, self.shift, self.scale = vae.encoder, shift, scale

    def forward(self, pixels):
        seen = self.encoder(pixels.permute(0, 3, 1, 2).float() / 127.5 - 1)
        return (seen[:, :LATENTS] - self.shift) * self.scale


class Larger(nn.Module):
    """uint8 pixels (B, H, W, 3), H and W even -> the same picture at twice the size, uint8 (B, 2H, 2W, 3)."""

    def __init__(self, upscaler: Upscaler):
        super().__init__()
        self.upscaler = upscaler

    def forward(self, pixels):
        made = self.upscaler(pixels.permute(0, 3, 1, 2).float() / 255)
        return torch.round(made.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)


def assemble(run: Path, grid: Grid) -> tuple[Painter, torch.nn.Module, dict, Tokenizer]:
    state = torch.load(run / "flow.pt", map_location="cpu", weights_only=True)
    painter = Painter(FluxConfig(**state["config"]))
    painter.load_state_dict(state["average"])
    vae = build((*OUTER, *INNER))
    load(run / "outer.pt", vae)
    # The variance half of the encoder was never trained: e^-30 makes a sample equal its mean.
    with torch.no_grad():
        vae.encoder.conv_out.weight[32:] = 0
        vae.encoder.conv_out.bias[32:] = -30
    vae.register_to_config(scaling_factor=state["scale"], shift_factor=state["shift"])
    return grid.round(painter), grid.round(vae), state, Tokenizer.from_file(str(run / "tokenizer.json"))


def save_pipeline(painter: Painter, vae, tokenizer: Tokenizer, folder: Path) -> None:
    transformer = FluxTransformer2DModel(**painter.flux.config.diffusers())
    transformer.load_state_dict(painter.flux.state_dict())
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT, use_dynamic_shifting=False),
        vae=vae, transformer=transformer, text_encoder=painter.clip, text_encoder_2=painter.t5,
        tokenizer=clip_tokenizer(tokenizer), tokenizer_2=t5_tokenizer(tokenizer),
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(folder)
    pipeline.to(torch.float32)


def shrink(model: onnx.ModelProto, grid: Grid) -> onnx.ModelProto:
    """Store weights as the bytes that they are on the grid; onnxruntime computes the floats when it loads the graph."""
    kept, nodes = [], []
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        found = grid.find(array)
        if found is None:
            kept.append(tensor)
            continue
        name = tensor.name
        kept += [
            numpy_helper.from_array(part, f"{name}.{kind}")
            for part, kind in zip(found, ("bytes", "scale"), strict=True)
        ]
        nodes.append(helper.make_node("Cast", [f"{name}.bytes"], [f"{name}.whole"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name]))
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:], model.graph.value_info[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    # Traces of this machine and of torch's own naming are nobody's business.
    model.doc_string = ""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    return model


def export(module: nn.Module, inputs: dict, dynamic: dict, outputs: list[str], path: Path, grid: Grid) -> None:
    program = torch.onnx.export(
        module, (), kwargs=inputs, dynamic_shapes=dynamic, output_names=outputs,
        dynamo=True, opset_version=20, verbose=False,
    )  # fmt: skip
    program.optimize()
    onnx.save(shrink(program.model_proto, grid), path)


@torch.no_grad()
def save_graphs(painter: Painter, vae, upscaler: Upscaler | None, state: dict, folder: Path, grid: Grid) -> None:
    """Where there is no `upscaler`, that of the folder stays."""
    dim = torch.export.Dim
    batch, words, tokens = dim("batch", max=64), dim("words", max=LENGTH), dim("tokens", max=4096)
    tall, wide = dim("tall", max=64), dim("wide", max=64)
    config = painter.flux.config
    t5_ids, clip_ids = (torch.randint(3, 100, (2, LENGTH)) for _ in range(2))
    export(
        Text(painter), {"t5_ids": t5_ids, "clip_ids": clip_ids},
        {"t5_ids": {0: batch, 1: words}, "clip_ids": {0: batch}}, ["text", "pooled"], folder / "text.onnx", grid,
    )  # fmt: skip
    places = positions(LENGTH, 4, 4)
    flux_in = {
        "latents": torch.randn(2, 16, config.in_channels),
        "text": torch.randn(2, LENGTH, config.joint_attention_dim),
        "pooled": torch.randn(2, config.pooled_projection_dim),
        "t": torch.rand(2),
        "ids": places,
    }
    export(
        Step(painter.flux, grid.join), flux_in,
        {
            "latents": {0: batch, 1: tokens}, "text": {0: batch, 1: words}, "pooled": {0: batch}, "t": {0: batch},
            "ids": {0: torch.export.Dim.DYNAMIC},
        },
        ["velocity"], folder / "flux.onnx", grid,
    )  # fmt: skip
    decoder = Decoder(vae, state["shift"], state["scale"])
    export(
        decoder,
        {"latents": torch.randn(2, 32, 8, 8)},
        {"latents": {0: batch, 2: tall, 3: wide}},
        ["pixels"],
        folder / "decoder.onnx",
        grid,
    )
    seen = torch.randint(0, 256, (2, 256, 256, 3), dtype=torch.uint8)
    # Only the batch is free: the engine reads pictures at the native size.
    export(
        Encoder(vae, state["shift"], state["scale"]),
        {"pixels": seen},
        {"pixels": {0: batch}},
        ["latents"],
        folder / "encoder.onnx",
        grid,
    )
    if upscaler is None:
        return
    rows, columns = dim("rows", max=2048), dim("columns", max=2048)
    # Half a side, for pixel-unshuffle needs even ones.
    export(
        Larger(upscaler),
        {"pixels": seen},
        {"pixels": {0: batch, 1: 2 * rows, 2: 2 * columns}},
        ["larger"],
        folder / "upscaler.onnx",
        grid,
    )


def save_card(folder: Path, state: dict) -> None:
    """card.json: what the engine must know about these very weights, with a hash over every shipped file."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in GRAPHS}
    whole = hashlib.sha256("".join(hashes[name] for name in GRAPHS).encode()).hexdigest()
    card = {
        "weights": whole[:12], "files": hashes, "created": int(time.time()), "steps_trained": state["step"],
        "quality_steps": QUALITY_STEPS, "guidance": GUIDANCE, "one_by_one": ONE_BY_ONE,
        "seed_styles": SEED_STYLES,
        "shift": SHIFT, "lengths": [LENGTH], "pixels_per_token": 64, "latent_channels": 32,
        # What a request that names no size gets, and what the transformer and the decoder draw of it.
        "native": 512, "drawn": 256,
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    print(json.dumps(card))


def main() -> None:
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=here / "runs/first")
    parser.add_argument("--checkpoint", type=Path, default=here / "checkpoint")
    parser.add_argument("--graphs", type=Path, default=here.parent / "src/limner/mini")
    args = parser.parse_args()
    grid = Grid()
    painter, vae, state, tokenizer = assemble(args.run, grid)
    upscaler = None
    if (args.run / "upscaler.pt").exists():
        upscaler = Upscaler()
        load(args.run / "upscaler.pt", upscaler)
    args.graphs.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.graphs / "tokenizer.json"), pretty=False)
    save_graphs(painter, vae, upscaler and grid.round(upscaler), state, args.graphs, grid)
    save_pipeline(painter, vae, tokenizer, args.checkpoint)
    save_card(args.graphs, state)


if __name__ == "__main__":
    main()
