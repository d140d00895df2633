"""Scenes with their captions, composed from drawings: what limner-mini sees.

A scene is first drawn by lot as words (`limner.engines.mini_scene.Scene`) and then painted, so the caption says all
that is there. There is little chance in how it is painted: the same caption gives nearly the same picture, which lets a
small model learn it from few samples and draw it in few steps.
"""

from dataclasses import dataclass

import numpy as np

from data import Drawings, paste, recolour
from limner.engines.mini_layout import BANDS, GROUNDS, backdrop, spots
from limner.engines.mini_scene import PLACES, SIDES, TINTS, Scene, Thing

# What people ask for first is shown more often.
FAVOURITES = frozenset(
    (
        "cat", "dog", "red apple", "house", "rocket", "pizza", "deciduous tree", "automobile", "banana", "bird", "fish",
        "sun", "star", "rose", "sunflower", "horse", "bicycle", "airplane", "robot", "person", "guitar", "hot beverage",
        "birthday cake", "red heart", "mountain", "crescent moon", "cloud", "lion", "elephant", "waving hand",
        "globe showing europe-africa",
    )
)  # fmt: skip
# The first prompt of the project's first script.
HELLO = ("waving hand", "globe showing europe-africa", "person")


@dataclass(frozen=True, kw_only=True)
class Painted:
    # uint8 RGB, shape (size, size, 3).
    pixels: np.ndarray
    scene: Scene


class Composer:
    """One thing to three on a white or coloured ground or in a place."""

    def __init__(self, drawings: Drawings, size: int):
        self.drawings = drawings
        self.size = size
        self._backdrops = {name: backdrop(name, size) for name in (None, *GROUNDS, *BANDS)}
        shown = [3.0 if c.label in FAVOURITES else 1.0 for c in drawings.concepts]
        weights = np.array(shown) * [i in drawings.by_concept for i in range(len(shown))]
        self._weights = weights / weights.sum()

    def scene(self, rng: np.random.Generator) -> Painted:
        kind = rng.choice(["one", "same", "pair", "stacked", "three"], p=[0.58, 0.07, 0.23, 0.05, 0.07])
        count = {"one": 1, "same": 1, "pair": 2, "stacked": 2, "three": 3}[str(kind)]
        if kind == "three" and rng.random() < 0.15:
            labels = list(HELLO)
        else:
            chosen = rng.choice(len(self._weights), size=count, p=self._weights, replace=False)
            labels = [self.drawings.concepts[i].label for i in chosen]
        things = [Thing(label=label) for label in labels]
        side = None
        if kind == "same":
            things = [Thing(label=labels[0], count=int(rng.choice([2, 3], p=[0.65, 0.35])))]
        if kind == "one":
            size = str(rng.choice(["small", "big"])) if rng.random() < 0.1 else None
            side = str(rng.choice(SIDES)) if rng.random() < 0.06 else None
            things = [Thing(label=labels[0], colour=self._tint(labels[0], rng), size=size)]
        scene = Scene(things=tuple(things), stacked=kind == "stacked", side=side, ground=self._ground(things[0], rng))
        return Painted(pixels=self.paint(scene, rng), scene=scene)

    def paint(self, scene: Scene, rng: np.random.Generator) -> np.ndarray:
        """uint8 (size, size, 3)."""
        canvas = self._backdrops[scene.ground].copy()
        items = [thing for thing in scene.things for _ in range(thing.count)]
        for thing, (x, y, extent) in zip(items, spots(scene), strict=True):
            drawing = self.drawings.by_concept[self.drawings.by_label[thing.label]][0]
            rgba = recolour(drawing, thing.colour) if thing.colour and drawing.hue != thing.colour else drawing.pixels
            moved = rng.uniform(-0.015, 0.015, 3)
            paste(canvas, rgba, (x + moved[0], y + moved[1]), extent * (1 + moved[2]))
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)

    def _ground(self, first: Thing, rng: np.random.Generator) -> str | None:
        draw = rng.random()
        if draw < (0.0 if first.colour == "white" else 0.5):
            return None
        if draw < 0.66:
            return str(rng.choice(list(PLACES)))
        names = [name for name in GROUNDS if name != first.colour]
        return str(rng.choice(names))

    def _tint(self, label: str, rng: np.random.Generator) -> str | None:
        hue = self.drawings.by_concept[self.drawings.by_label[label]][0].hue
        if hue is None or rng.random() > 0.2:
            return None
        return str(rng.choice(TINTS))
