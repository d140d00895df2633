"""Train the upscaler, which draws a picture of the decoder at twice its size.

The drawings are vectors, so what 256 px leave open can be known: the target of each picture is the same drawing
rendered at 512 px. The model sees what the run's decoder makes of noisy latents, and in a quarter of the cases the
sharp picture halved, so that it can be applied to its own result. All convolutions run at half the picture's size
(pixel-shuffle, arXiv:1609.05158).

    python upscaler.py --minutes 15 --out runs/first        # after `autoencoder.py outer`
    python upscaler.py --begin ../src/limner/mini/upscaler.onnx        # a new run that takes a graph's weights up
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from onnx import numpy_helper
from torch import nn

from autoencoder import INNER, LATENT_NOISE, OUTER, OUTER_SIZE, build, edges, encode, to_tensor
from checkpoint import Clock, arguments, half, load, save
from data import STYLES, Drawings
from scenes import Composer

WIDTH, BLOCKS = 40, 4
# Side of the pieces that are learnt from, and how often a piece is the sharp picture halved.
CROP, SHARP = 96, 0.25
# Errors below it count by their square. Most pixels are flat and right from the start: plain L1 pulls as hard at their
# least error as at an edge, and nothing is learnt (LOG.md, 2026-11-24).
SMOOTH = 0.05
# Scenes in memory where the run names no number, and how many steps pass until one batch of them gives way to new ones.
POOL, RENEW = 768, 20


class Upscaler(nn.Module):
    """Pictures (B, 3, H, W) in 0..1, H and W even -> (B, 3, 2H, 2W)."""

    def __init__(self, width: int = WIDTH, blocks: int = BLOCKS):
        super().__init__()
        self.enter = nn.Conv2d(12, width, 3, padding=1)
        self.first = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(blocks))
        self.leave = nn.Conv2d(width, 48, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = self.enter(F.pixel_unshuffle(pictures, 2))
        for first, second in zip(self.first, self.second, strict=True):
            x = x + second(F.relu(first(x)))
        plain = F.interpolate(pictures, scale_factor=2.0, mode="bilinear", align_corners=False)
        return plain + F.pixel_shuffle(self.leave(F.relu(x)), 4)


def weights_of(graph: Path) -> dict[str, torch.Tensor]:
    """The state dict of the upscaler that a graph was exported from; export.py names its eight bits."""
    parts = {part.name.removeprefix("upscaler."): part for part in onnx.load(str(graph)).graph.initializer}
    arrays = {name: torch.from_numpy(numpy_helper.to_array(part).copy()).float() for name, part in parts.items()}
    whole = {
        name.removesuffix(".bytes"): value * arrays[name.replace(".bytes", ".scale")]
        for name, value in arrays.items()
        if name.endswith(".bytes")
    }
    return whole | {name: value for name, value in arrays.items() if name.endswith(".bias")}


class Pairs:
    """Decoded pictures (256 px) beside the sharp ones (512 px), renewed a few at a time."""

    def __init__(self, args: argparse.Namespace, vae: AutoencoderKL, device: str):
        drawings = Drawings(args.packages, args.cache, 2 * OUTER_SIZE, styles=tuple(args.styles))
        self._composer, self._vae, self._device = Composer(drawings, 2 * OUTER_SIZE), vae, device
        self._size, self._rng = args.pool, np.random.default_rng(int(time.time()))
        self._drawn: list[torch.Tensor] = []
        self._sharp: list[torch.Tensor] = []
        while len(self._sharp) < self._size:
            self.renew()

    @torch.no_grad()
    def renew(self, count: int = 16) -> None:
        """Put `count` new scenes in; the oldest go."""
        pixels = np.stack([self._composer.scene(self._rng).pixels for _ in range(count)])
        small = F.avg_pool2d(to_tensor(pixels, self._device), 2).contiguous(memory_format=torch.channels_last)
        with half(self._device):
            latents = encode(self._vae, small)
            drawn = self._vae.decode(latents + LATENT_NOISE * torch.randn_like(latents), return_dict=False)[0]
        drawn = ((drawn.float() / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu()
        self._drawn = (self._drawn + list(drawn))[-self._size :]
        self._sharp = (self._sharp + list(torch.from_numpy(pixels).permute(0, 3, 1, 2)))[-self._size :]

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Pieces (size, 3, CROP, CROP) and what they are to become, (size, 3, 2 CROP, 2 CROP), in 0..1."""
        sources, targets = [], []
        for row in self._rng.integers(len(self._sharp), size=size):
            sharp = self._sharp[row]
            if self._rng.random() < SHARP:
                y, x = (int(v) for v in self._rng.integers(0, OUTER_SIZE - CROP, 2) * 2)
                target = sharp[:, y : y + 2 * CROP, x : x + 2 * CROP].float() / 255
                source = F.avg_pool2d(target[None], 2)[0]
            else:
                y, x = (int(v) for v in self._rng.integers(0, OUTER_SIZE - CROP, 2))
                source = self._drawn[row][:, y : y + CROP, x : x + CROP].float() / 255
                target = sharp[:, 2 * y : 2 * (y + CROP), 2 * x : 2 * (x + CROP)].float() / 255
            sources.append(source)
            targets.append(target)
        return torch.stack(sources).to(self._device), torch.stack(targets).to(self._device)


def train(args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    vae = build((*OUTER, *INNER))
    load(args.out / "outer.pt", vae)
    vae.to(device, memory_format=torch.channels_last).eval()
    pairs = Pairs(args, vae, device)
    model = Upscaler().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)
    step = first = load(args.out / "upscaler.pt", model, optimiser)
    if args.begin and not step:
        model.load_state_dict(weights_of(args.begin))
    clock, seen = Clock(args.minutes), []
    while not clock.done():
        for group in optimiser.param_groups:
            group["lr"] = args.lr * min(1, (step - first + 1) / 100) * clock.decay()
        if step % RENEW == 0:
            pairs.renew()
        source, target = pairs.batch(args.batch)
        with half(device):
            made = model(source.contiguous(memory_format=torch.channels_last))
        made = made.float()
        loss = F.smooth_l1_loss(made, target, beta=SMOOTH) + F.smooth_l1_loss(edges(made), edges(target), beta=SMOOTH)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        before = F.interpolate(source, scale_factor=2.0, mode="bicubic", align_corners=False)
        seen.append((F.l1_loss(made, target).item(), F.l1_loss(before, target).item()))
        if step % 50 == 0:
            made_l1, before_l1 = np.mean(seen[-50:], 0)
            print(f"upscaler step {step} l1 {made_l1:.5f}, bicubic {before_l1:.5f} {clock}", flush=True)
        if step % 500 == 0:
            save(args.out / "upscaler.pt", model, optimiser, step)
    save(args.out / "upscaler.pt", model, optimiser, step)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--begin", type=Path, help="graph whose weights a new run takes up")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pool", type=int, default=POOL)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--styles", nargs="+", choices=tuple(STYLES), default=list(STYLES))
    train(parser.parse_args())


if __name__ == "__main__":
    main()
