"""Lets the judge (judge.py) name generated pictures, and prints one table.

The judge says first what it names of drawings that nothing here was trained on.

    python evaluate.py train --minutes 5 --out runs/first     # once
    python evaluate.py judge --out runs/first        # and `python -m tools.sheet` to look at
"""

import argparse
import asyncio
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from checkpoint import arguments, load
from data import STYLES, Drawings, dominant_hue
from judge import hits, judge_net, look, self_check, stack, train_judge
from lexicon import names_of
from limner.engines import mini_scene
from limner.engines.mini_layout import GROUNDS
from limner.engines.mini_prompt import Reader
from limner.engines.mini_tint import HUES
from limner.engines.mini_words import LANGUAGES
from limner.sources import Source
from limner.types import Image, ImageRequest
from text import labels_of

# Nouns that edits are judged by, and how much of a picture image-to-image may change.
EDITED, STRENGTH = 60, 0.8


class Model:
    """The shipped engine, asked for one picture after the other."""

    def __init__(self) -> None:
        from limner.engines.mini import MiniEngine

        self.new_engine = MiniEngine
        engine = MiniEngine()
        self.card, self.side = engine.cards()[0], engine.drawn

    def draw(self, prompts: list[tuple[str, int]], **wishes) -> np.ndarray:
        """uint8 (P, 256, 256, 3) for (prompt, seed) pairs."""
        return self.drawn([self.request(prompt, seed=seed, **wishes) for prompt, seed in prompts])

    def request(self, prompt: str, **wishes) -> ImageRequest:
        return self.card.request(prompt, **{"size": f"{self.side}x{self.side}"} | wishes)

    def drawn(self, requests: list[ImageRequest]) -> np.ndarray:
        """uint8 (P, H, W, 3) for requests of one size."""

        async def run() -> list[np.ndarray]:
            out = []
            async with self.new_engine() as engine:
                for request in requests:
                    async for event in engine.generate(request):
                        if isinstance(event, Image):
                            pixels = np.frombuffer(event.data, np.uint8)
                            out.append(pixels.reshape(request.height, request.width, 3))
            return out

        return np.stack(asyncio.run(run()))


def nouns(drawings: Drawings, limit: int | None) -> list[int]:
    """Concepts, the common ones first, of these those of one word; at most `limit`."""
    concepts = drawings.concepts
    return sorted(drawings.by_concept, key=lambda i: (not concepts[i].common, " " in concepts[i].label, i))[:limit]


def named(
    model: Model, net: nn.Module, drawings: Drawings, seeds: int, limit: int | None, style: str = "", **wishes
) -> dict[str, float]:
    """Top-1 and top-5 over `nouns`; how far off the nearest training drawing is, and how often it is of that noun."""
    order = nouns(drawings, limit)
    asked = [(f"a {drawings.concepts[i].label}{style}", seeds * i + s) for i in order for s in range(seeds)]
    wanted = [i for i in order for _ in range(seeds)]
    seen = look(model.draw(asked, **wishes))
    spread = seen.reshape(len(order), seeds, -1)
    apart = (spread[:, 0] - spread[:, -1]).abs().mean().item()
    rgba, concepts = stack(drawings)
    known = F.interpolate(rgba[:, :3] + 1 - rgba[:, 3:], (16, 16), mode="area")
    # Pictures may look the other way.
    known, concepts = torch.cat([known, known.flip(3)]).flatten(1), concepts.repeat(2)
    near = torch.cdist(F.interpolate(seen, (16, 16), mode="area").flatten(1), known, p=1).min(1)
    right = concepts[near.indices] == torch.tensor(wanted)
    return {
        "top1": hits(net, seen, wanted, 1), "top5": hits(net, seen, wanted, 5), "seed distance": apart,
        "nearest drawing": near.values.mean().item() / known.shape[1], "is of it": right.float().mean().item(),
    }  # fmt: skip


def seeds_apart(model: Model, drawings: Drawings) -> float:
    """Mean distance, 0..1, between two seeds of one noun in one manner."""
    asked = [f"a flat {drawings.concepts[i].label}" for i in nouns(drawings, 300)]
    one, other = (look(model.draw([(prompt, seed) for prompt in asked])) for seed in (0, 2))
    return (one - other).abs().mean().item()


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
    """Share of "a <colour> X, flat" in which that hue leads, over nouns whose drawing has a hue that leads."""
    turned = [
        drawings.concepts[i].label for i in nouns(drawings, 300) if dominant_hue(drawings.by_concept[i][0].pixels)
    ]  # fmt: skip
    some = turned[:: max(1, len(turned) // count)][:count]
    asked = [(colour, label) for label in some for colour in HUES if not label.startswith(colour)]
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


def edits(model: Model, net: nn.Module, drawings: Drawings) -> dict[str, float]:
    """What is asked for in an edit of another noun's picture, named: image-to-image, and beside it where a mask is."""
    order = nouns(drawings, 300)[:: 300 // EDITED]
    names = [drawings.concepts[i].label for i in order]
    before = model.draw([(f"a flat {name}", k) for k, name in enumerate(names)])
    wanted, labels = order[1:] + order[:1], names[1:] + names[:1]
    side = model.side

    def edited(pictures: list[np.ndarray], **wishes) -> np.ndarray:
        requests = []
        for k, (label, picture) in enumerate(zip(labels, pictures, strict=True)):
            rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
            source = Source(pixels=rgba.tobytes(), width=picture.shape[1], height=side)
            requests.append(model.request(f"a {label}", seed=k, images=(source,), **wishes))
        return model.drawn(requests)

    whole = look(edited(list(before), strength=STRENGTH))
    mask = np.zeros((side, 2 * side), np.uint8)
    mask[:, side:] = 255
    wide = [np.hstack([picture, np.full_like(picture, 255)]) for picture in before]
    beside = look(edited(wide, mask=mask.tobytes(), size=f"{2 * side}x{side}")[:, :, side:])
    return {
        f"{way}, {depth} first": hits(net, seen, wanted, depth)
        for way, seen in (("image-to-image", whole), ("in-painting", beside))
        for depth in (1, 5)
    }


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
    table |= {
        f"300 nouns, flat, {q}": named(model, net, drawings, 1, 300, ", flat", quality=q) for q in ("low", "high")
    }
    table["languages"] = languages(drawings, args.packages, 300)
    table["seed distance, flat"] = seeds_apart(model, drawings)
    table["colour of things"] = tints(model, drawings, 20)
    table["edits"] = edits(model, net, drawings)
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
