"""The judge: a classifier of drawings that never saw the model.

It learns the training drawings under heavy augmentation, and is itself tested on an icon set that neither it nor the
model ever saw (twemoji). Its accuracy there bounds what it can say of the model.
"""

import argparse
import itertools

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from checkpoint import Clock, half, save
from data import HELD_OUT, STYLES, Drawings

SIDE = 64


def judge_net(classes: int) -> nn.Module:
    """(B, 3, 64, 64) in 0..1 -> logits (B, classes)."""
    layers: list[nn.Module] = []
    widths = (3, 32, 64, 128, 256)
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * 256, classes))


def stack(drawings: Drawings) -> tuple[torch.Tensor, torch.Tensor]:
    """Premultiplied RGBA (M, 4, SIDE, SIDE) in 0..1 and their concepts (M,)."""
    small = [np.asarray(Image.fromarray(d.pixels).resize((SIDE, SIDE), Image.Resampling.BOX)) for d in drawings.items]
    rgba = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
    rgba[:, :3] *= rgba[:, 3:]
    return rgba, torch.tensor([d.concept for d in drawings.items])


def augment(rgba: torch.Tensor) -> torch.Tensor:
    """Random size, place, turn, ground, hue, contrast and blur: (B, 4, S, S) -> (B, 3, S, S)."""
    b = len(rgba)
    scale = torch.empty(b).uniform_(1.0, 1.9)
    angle = torch.randn(b) * 0.15
    mirror = torch.where(torch.rand(b) < 0.3, -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    shift = torch.empty(b, 2).uniform_(-1, 1) * (scale[:, None] - 1) * 0.8
    theta = torch.stack(
        [torch.stack([cos * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)], 1
    )
    moved = F.grid_sample(rgba, F.affine_grid(theta, rgba.shape, align_corners=False), align_corners=False)
    plain = torch.where(torch.rand(b, 1) < 0.5, torch.ones(b, 3), torch.rand(b, 3))[..., None, None]
    picture = moved[:, :3] + (1 - moved[:, 3:]) * plain
    # Colours differ between icon sets more than shapes do: mix channels a little, and sometimes drop colour.
    mix = torch.eye(3) + 0.12 * torch.randn(b, 3, 3)
    picture = torch.einsum("bij,bjhw->bihw", mix, picture)
    grey = picture.mean(1, keepdim=True).expand_as(picture)
    picture = torch.where(torch.rand(b, 1, 1, 1) < 0.15, grey, picture)
    soft = F.avg_pool2d(picture, 3, stride=1, padding=1)
    return torch.where(torch.rand(b, 1, 1, 1) < 0.4, soft, picture).clamp(0, 1)


def train_judge(args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    known = Drawings(args.packages, args.cache, styles=tuple(STYLES))
    rgba, concepts = stack(known)
    net = judge_net(len(known.concepts))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.05)
    clock, step = Clock(args.minutes, tail=0.7), 0
    while not clock.done():
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 100) * clock.decay()
        rows = torch.randint(len(rgba), (256,))
        with half("cpu"):
            logits = net(augment(rgba[rows]))
        loss = F.cross_entropy(logits.float(), concepts[rows], label_smoothing=0.1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        if step % 100 == 0:
            print(f"judge step {step} loss {loss.item():.3f} {clock}", flush=True)
    save(args.out / "judge.pt", net, None, step)
    print(self_check(net.eval(), args))


@torch.no_grad()
def self_check(net: nn.Module, args: argparse.Namespace) -> str:
    """Top-1 and top-5 on drawings of an icon set that nothing here was trained on."""
    rgba, concepts = stack(Drawings(args.packages, args.cache, styles=(HELD_OUT,)))
    shrunk = F.interpolate(rgba, scale_factor=0.8, mode="area")
    rgba = F.pad(shrunk, [(SIDE - shrunk.shape[-1]) // 2, (SIDE - shrunk.shape[-1] + 1) // 2] * 2)
    best = net(rgba[:, :3] + 1 - rgba[:, 3:]).topk(5).indices
    hits = best == concepts[:, None]
    return (
        f"judge on held-out {HELD_OUT}: top-1 {hits[:, 0].float().mean():.1%}, top-5 {hits.any(1).float().mean():.1%}"
    )


def look(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (P, H, W, 3) -> what the judge takes, (P, 3, SIDE, SIDE)."""
    return F.interpolate(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, (SIDE, SIDE), mode="area")


def hits(net: nn.Module, pictures: torch.Tensor, wanted: list[int], depth: int) -> float:
    with torch.no_grad():
        best = net(pictures).topk(depth).indices
    return (best == torch.tensor(wanted)[:, None]).any(1).float().mean().item()
