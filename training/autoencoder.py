"""Train the autoencoder: first the inner four levels on 64 px scenes, then two more that draw at 256 px.

The latents that the flow transformer learns are those of the inner encoder, so `inner` must be finished before
flow.py starts and is frozen afterwards; `outer` may run later, since it changes only how latents are drawn and
how a 256 px picture is read. The drawings are vectors, so what 64 px leave open, the decoder can know. Loss: L1 + MSE +
L1 of differences, with noise on the latents so that the decoder forgives the flow's small errors.

    python autoencoder.py inner --minutes 15 --out runs/first
    python autoencoder.py outer --minutes 10 --out runs/first
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from checkpoint import Clock, arguments, half, load, save
from data import STYLES, Drawings
from feed import Feed
from scenes import Composer

LATENTS = 32
INNER = (24, 48, 96, 192)
OUTER = (8, 16)
INNER_SIZE, OUTER_SIZE = 64, 256
LATENT_NOISE = 0.1


def build(blocks: tuple[int, ...]) -> AutoencoderKL:
    """A KL autoencoder that halves the picture once per level after the first; no attention, no quant convs."""
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(blocks),
        up_block_types=["UpDecoderBlock2D"] * len(blocks),
        block_out_channels=list(blocks),
        layers_per_block=1,
        latent_channels=LATENTS,
        norm_num_groups=4,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        sample_size=8 << len(blocks) - 1,
        scaling_factor=1.0,
        shift_factor=0.0,
    )


@torch.no_grad()
def straighten(vae: AutoencoderKL) -> AutoencoderKL:
    """Start as a nearly linear pyramid: the picture passes the levels unharmed and the residual branches begin small.

    With PyTorch's default init each strided conv shrinks its signal: with five levels the error stood at 0.145 after
    250 steps; with this start it was at 0.123 after 100 (LOG.md, 2026-11-22). The idea is DC-AE's non-parametric
    shortcut (arXiv:2410.10733), as an init, since the class cannot carry it as a layer.
    """
    for name, module in vae.named_modules():
        if name.endswith("conv2"):
            module.weight.mul_(0.2)
        elif name.endswith("conv_shortcut"):
            torch.nn.init.orthogonal_(module.weight)
        elif name.endswith("upsamplers.0.conv"):
            module.weight.mul_(0.2)
            module.weight[:, :, 1, 1] += torch.eye(len(module.weight))
        elif name.endswith("downsamplers.0.conv"):
            _haar(module.weight)
        if name.endswith(("conv2", "conv_shortcut", "samplers.0.conv")):
            module.bias.zero_()
    return vae


def _haar(weight: torch.Tensor) -> None:
    """A strided conv (C, C, 3, 3): half its channels average 2x2 pixels, half take their differences."""
    half = len(weight) // 2
    weight.mul_(0.2)
    patterns = torch.tensor([[[1.0, 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]]]) / 2
    for channel in range(half):
        weight[channel, channel, :2, :2] += patterns[0]
        weight[half + channel, channel, :2, :2] += patterns[1 + channel % 2]


def encode(vae: AutoencoderKL, pixels: torch.Tensor) -> torch.Tensor:
    """Means of the latents. pixels: (B, 3, H, W) in -1..1 -> (B, LATENTS, H / f, W / f)."""
    return vae.encoder(pixels)[:, :LATENTS]


def encoder_of(run: Path) -> tuple[AutoencoderKL, int]:
    """The autoencoder whose encoder fixes what latents mean, and the pixels a side of the pictures that it reads.

    The inner one where the run has it, since it reads few pixels; the outer one learnt the same latents.
    """
    if (run / "inner.pt").exists():
        vae, size, name = build(INNER), INNER_SIZE, "inner.pt"
    else:
        vae, size, name = build((*OUTER, *INNER)), OUTER_SIZE, "outer.pt"
    load(run / name, vae)
    return vae, size


def begin_outer(run: Path, checkpoint: Path) -> tuple[float, float]:
    """Take a checkpoint's autoencoder up as the run's outer one; its latents' shift and scale."""
    vae = AutoencoderKL.from_pretrained(checkpoint / "vae", torch_dtype=torch.float32)
    if not (run / "outer.pt").exists():
        save(run / "outer.pt", vae, None, 0)
    return vae.config.shift_factor, vae.config.scaling_factor


def to_tensor(pixels: np.ndarray, device: str) -> torch.Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in -1..1."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def edges(x: torch.Tensor) -> torch.Tensor:
    """Horizontal and vertical differences, padded to one shape: (B, 6, H - 1, W - 1)."""
    return torch.cat([x[:, :, 1:, :-1] - x[:, :, :-1, :-1], x[:, :, :-1, 1:] - x[:, :, :-1, :-1]], 1)


def loss_of(drawn: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = drawn.float()
    mse = F.mse_loss(drawn, target)
    return mse + F.l1_loss(drawn, target) + F.l1_loss(edges(drawn), edges(target)), mse


def grow(inner: AutoencoderKL) -> AutoencoderKL:
    """Six levels around the trained four: every inner weight is kept, only the two outermost levels are fresh."""
    outer = straighten(build((*OUTER, *INNER)))
    own, old = outer.state_dict(), inner.state_dict()
    for name, value in old.items():
        if name.startswith("encoder.down_blocks."):
            level = int(name.split(".")[2])
            name = name.replace(f"down_blocks.{level}.", f"down_blocks.{level + len(OUTER)}.", 1)
        if name in own and own[name].shape == value.shape:
            own[name] = value
    outer.load_state_dict(own)
    return outer


def train(stage: str, args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    size = INNER_SIZE if stage == "inner" else OUTER_SIZE
    drawings = Drawings(args.packages, args.cache, styles=tuple(args.styles))
    feed = Feed(Composer(drawings, size), args.batch, seed=int(time.time()))
    inner = build(INNER)
    # A run that began from a checkpoint has no inner one: its outer encoder stays as it is, and the decoder learns on.
    taught = stage == "outer" and (args.out / "inner.pt").exists()
    if taught:
        load(args.out / "inner.pt", inner)
        inner.to(device).eval()
    vae = (straighten(inner) if stage == "inner" else grow(inner)).to(device, memory_format=torch.channels_last)
    vae.encoder.requires_grad_(stage == "inner" or taught)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=1e-3)
    step = load(args.out / f"{stage}.pt", vae, optimiser)
    first = step
    clock = Clock(args.minutes)
    seen = []
    while not clock.done():
        for group in optimiser.param_groups:
            group["lr"] = args.lr * min(1, (step - first + 1) / 100) * clock.decay()
        target = to_tensor(feed.pixels(), device).contiguous(memory_format=torch.channels_last)
        with half(device):
            latents = encode(vae, target)
            known = latents.float()
            if taught:
                with torch.no_grad():
                    known = encode(inner, F.avg_pool2d(target, OUTER_SIZE // INNER_SIZE)).float()
            source = known
            drawn = vae.decode(source + LATENT_NOISE * torch.randn_like(source), return_dict=False)[0]
        loss, mse = loss_of(drawn, target)
        # A weak pull keeps the latents near unit scale without the full KL term.
        pull = F.mse_loss(latents.float(), known) if taught else 1e-3 * latents.float().square().mean()
        optimiser.zero_grad(set_to_none=True)
        (loss + pull).backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        step += 1
        seen.append(mse.item())
        if step % 50 == 0:
            scale = latents.float().std().item()
            print(f"{stage} step {step} mse {np.mean(seen[-50:]):.5f} latents {scale:.3f} {clock}", flush=True)
        if step % 500 == 0:
            save(args.out / f"{stage}.pt", vae, optimiser, step)
    save(args.out / f"{stage}.pt", vae, optimiser, step)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("stage", choices=("inner", "outer"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--styles", nargs="+", choices=tuple(STYLES), default=list(STYLES))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train(args.stage, args)


if __name__ == "__main__":
    main()
