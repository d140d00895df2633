"""The judge: names generated pictures with a classifier that never saw the model, and prints one table.

The classifier learns the training drawings under heavy augmentation and is itself tested, first, on an icon set that
neither it nor the model ever saw (twemoji). Its accuracy there bounds what it can say of the model.

    python evaluate.py train --minutes 5 --out runs/first     # once
    python evaluate.py judge --out runs/first        # and `python -m tools.sheet` to look at
"""

import argparse
import asyncio
import itertools
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from checkpoint import Clock, arguments, half, load, save
from data import HELD_OUT, STYLES, Drawings, dominant_hue
from lexicon import names_of
from limner.engines import mini_scene
from limner.engines.mini_layout import GROUNDS
from limner.engines.mini_prompt import Reader
from limner.engines.mini_tint import HUES
from limner.engines.mini_words import LANGUAGES
from text import labels_of

SIDE = 64


def judge_net(classes: int) -> nn.Module:
    """(B, 3, 64, 64) in 0..1 -> logits (B, classes)."""
    layers: list[nn.Module] = []
    widths = (3, 16, 32, 64, 128)
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3), nn.Linear(4 * 128, classes))


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


class Model:
    """The shipped engine, asked for one picture after the other."""

    def __init__(self) -> None:
        from limner.engines.mini import MiniEngine

        self.new_engine = MiniEngine
        engine = MiniEngine()
        self.card, self.side = engine.cards()[0], engine.drawn

    def draw(self, prompts: list[tuple[str, int]], **wishes) -> np.ndarray:
        """uint8 (P, 256, 256, 3) for (prompt, seed) pairs."""
        from limner.types import Image as Drawn

        async def run() -> list[bytes]:
            out = []
            async with self.new_engine() as engine:
                for prompt, seed in prompts:
                    request = self.card.request(prompt, seed=seed, size=f"{self.side}x{self.side}", **wishes)
                    async for event in engine.generate(request):
                        if isinstance(event, Drawn):
                            out.append(event.data)
            return out

        pictures = [np.frombuffer(d, np.uint8).reshape(self.side, self.side, 3) for d in asyncio.run(run())]
        return np.stack(pictures)


def look(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (P, H, W, 3) -> what the judge takes, (P, 3, SIDE, SIDE)."""
    return F.interpolate(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, (SIDE, SIDE), mode="area")


def hits(net: nn.Module, pictures: torch.Tensor, wanted: list[int], depth: int) -> float:
    with torch.no_grad():
        best = net(pictures).topk(depth).indices
    return (best == torch.tensor(wanted)[:, None]).any(1).float().mean().item()


def nouns(drawings: Drawings, limit: int | None) -> list[int]:
    """Concepts, the common ones first, of these those of one word; at most `limit`."""
    concepts = drawings.concepts
    return sorted(drawings.by_concept, key=lambda i: (not concepts[i].common, " " in concepts[i].label, i))[:limit]


def named(
    model: Model, net: nn.Module, drawings: Drawings, seeds: int, limit: int | None, style: str = ""
) -> dict[str, float]:
    """Top-1 and top-5 over `nouns`; how far off the nearest training drawing is, and how often it is of that noun."""
    order = nouns(drawings, limit)
    asked = [(f"a {drawings.concepts[i].label}{style}", seeds * i + s) for i in order for s in range(seeds)]
    wanted = [i for i in order for _ in range(seeds)]
    pictures = model.draw(asked)
    seen = look(pictures)
    spread = seen.reshape(len(order), seeds, -1)
    apart = (spread[:, 0] - spread[:, -1]).abs().mean().item()
    rgba, concepts = stack(drawings)
    known = F.interpolate(rgba[:, :3] + 1 - rgba[:, 3:], (16, 16), mode="area").flatten(1)
    near = torch.cdist(F.interpolate(seen, (16, 16), mode="area").flatten(1), known, p=1).min(1)
    right = concepts[near.indices] == torch.tensor(wanted)
    return {
        "top1": hits(net, seen, wanted, 1), "top5": hits(net, seen, wanted, 5), "seed distance": apart,
        "nearest drawing": near.values.mean().item() / known.shape[1], "is of it": right.float().mean().item(),
    }  # fmt: skip


def languages(drawings: Drawings, packages: Path, limit: int) -> dict[str, float]:
    """Share of `nouns` whose name in each language is read as that noun; what is read alike is drawn alike."""
    reader = Reader()
    found = {}
    for code in LANGUAGES:
        names, _ = names_of(packages, code, drawings.concepts)
        said = {label: name for name, label in names.items()}
        asked = [label for i in nouns(drawings, limit) if (label := drawings.concepts[i].label) in said]
        scenes = [(label, reader.read(said[label])) for label in asked]
        found[code] = sum(scene is not None and scene.things[0].label == label for label, scene in scenes) / len(asked)
    return found


def grounds(model: Model) -> float:
    """Share of pictures whose border is nearest to the ground that was asked for."""
    things = ("cat", "car", "house", "banana", "guitar")
    asked = [(f"a {t} on a {g} background", i) for i, t in enumerate(things) for g in GROUNDS]
    palette = np.array([*GROUNDS.values(), (255, 255, 255)], float)
    right = 0
    for (prompt, _), picture in zip(asked, model.draw(asked), strict=True):
        border = np.concatenate([picture[:6].reshape(-1, 3), picture[-6:].reshape(-1, 3)])
        found = int(np.square(palette - np.median(border, 0)).sum(1).argmin())
        right += prompt.endswith(f" on a {[*GROUNDS, 'white'][found]} background")
    return right / len(asked)


def tints(model: Model, drawings: Drawings, count: int) -> float:
    """Share of "a <colour> X, flat" in which that hue leads, over nouns that training turned to other colours."""
    turned = [
        drawings.concepts[i].label for i in nouns(drawings, None)
        if drawings.concepts[i].common and drawings.by_concept[i][0].hue
    ][:: max(1, 300 // count)]  # fmt: skip
    asked = [(colour, label) for label in turned[:count] for colour in HUES if not label.startswith(colour)]
    pictures = model.draw([(f"a {colour} {label}, flat", k) for k, (colour, label) in enumerate(asked)])
    seen = np.where((255 - pictures.min(-1, keepdims=True)) > 40, 255, 0).astype(np.uint8)
    found = [dominant_hue(np.concatenate(pair, -1)) for pair in zip(pictures, seen, strict=True)]
    return sum(hue == colour for hue, (colour, _) in zip(found, asked, strict=True)) / len(asked)


def pairs(model: Model, net: nn.Module, drawings: Drawings, count: int) -> float:
    """Share of "a X and a Y" in which the judge finds X on the left and Y on the right among its first five."""
    rng = np.random.default_rng(7)
    words = [i for i in nouns(drawings, None) if " " not in drawings.concepts[i].label]
    chosen = [rng.choice(words, 2, replace=False) for _ in range(count)]
    asked = [
        (f"a {drawings.concepts[a].label} and a {drawings.concepts[b].label}", k) for k, (a, b) in enumerate(chosen)
    ]
    pictures = model.draw(asked)
    found = 0
    for picture, pair in zip(pictures, chosen, strict=True):
        halves = look(np.stack([picture[64:192, :128], picture[64:192, 128:]]))
        with torch.no_grad():
            best = net(halves).topk(5).indices
        found += all(int(w) in best[k].tolist() for k, w in enumerate(pair))
    return found / count


def judge(args: argparse.Namespace) -> None:
    drawings = Drawings(args.packages, args.cache, styles=tuple(STYLES))
    # The judge may know more than the weights.
    known = labels_of(args.checkpoint)
    drawings.by_concept = {i: d for i, d in drawings.by_concept.items() if drawings.concepts[i].label in known}
    net = judge_net(len(drawings.concepts))
    load(args.out / "judge.pt", net)
    net.eval()
    print(self_check(net, args))
    model = Model()
    table = {"weights": model.card.weights, "300 nouns": named(model, net, drawings, args.seeds, 300)}
    if args.all:
        table["all concepts"] = named(model, net, drawings, args.seeds, None)
    table |= {f"300 nouns, {s}": named(model, net, drawings, 1, 300, f", {s}") for s in mini_scene.STYLES}
    table["languages"] = languages(drawings, args.packages, 300)
    table["colour of things"] = tints(model, drawings, 20)
    table |= {"ground colour": grounds(model), "pairs, both in top-5": pairs(model, net, drawings, 100)}
    print(json.dumps(table, indent=2))


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("stage", choices=("train", "judge"))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--checkpoint", type=Path, default=Path(__file__).parent / "checkpoint")
    args = parser.parse_args()
    (train_judge if args.stage == "train" else judge)(args)


if __name__ == "__main__":
    main()
