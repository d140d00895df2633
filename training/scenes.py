"""Scenes with their captions, composed from drawings: what limner-mini sees.

A scene is first drawn by lot as words (`limner.engines.mini_scene.Scene`) and then painted, so the caption says all
that is there. There is little chance in how it is painted: the same caption gives nearly the same picture, which lets a
small model learn it from few samples and draw it in few steps.
"""

from dataclasses import dataclass

import numpy as np

from data import GROUNDS, Drawings, paste, recolour
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
# Colours of the places, top to bottom; each edge is a share of the height.
BANDS: dict[str, tuple[tuple[float, tuple[int, int, int], tuple[int, int, int]], ...]] = {
    "grass": ((0.62, (168, 218, 250), (214, 238, 252)), (1.0, (124, 190, 82), (92, 160, 62))),
    "sea": ((0.5, (150, 208, 246), (206, 234, 250)), (1.0, (44, 128, 196), (28, 92, 160))),
    "beach": ((0.42, (140, 206, 248), (200, 232, 250)), (0.62, (52, 144, 204), (84, 176, 214)),
              (1.0, (244, 222, 170), (230, 202, 146))),
    "snow": ((0.6, (176, 204, 226), (212, 226, 238)), (1.0, (250, 252, 255), (230, 238, 248))),
    "desert": ((0.55, (250, 214, 150), (252, 232, 190)), (1.0, (226, 174, 104), (206, 150, 84))),
    "sky": ((1.0, (92, 170, 236), (196, 230, 252)),),
    "night": ((1.0, (14, 18, 52), (44, 50, 104)),),
    "sunset": ((0.68, (122, 74, 140), (252, 150, 84)), (1.0, (96, 60, 96), (60, 40, 72))),
    "room": ((0.7, (244, 226, 200), (238, 216, 186)), (1.0, (176, 124, 82), (156, 106, 68))),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Painted:
    # uint8 RGB, shape (size, size, 3).
    pixels: np.ndarray
    scene: Scene


def backdrop(name: str | None, size: int) -> np.ndarray:
    """float32 (size, size, 3) in 0..255 of a colour, a place or a time; None is white."""
    canvas = np.full((size, size, 3), 255, np.float32)
    if name in GROUNDS:
        canvas[:] = GROUNDS[name]
    elif name in BANDS:
        top = 0
        for edge, first, last in BANDS[name]:
            bottom = round(edge * size)
            canvas[top:bottom] = np.linspace(first, last, bottom - top, dtype=np.float32)[:, None]
            top = bottom
    if name == "night":
        stars = np.random.RandomState(3).rand(40, 2)
        for x, y in (stars * (size - 4)).astype(int):
            canvas[y : y + 2, x : x + 2] = (236, 232, 200)
    return canvas


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
        for thing, (x, y, extent) in zip(items, _spots(scene, len(items)), strict=True):
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


def _spots(scene: Scene, count: int) -> list[tuple[float, float, float]]:
    """Centres and extents of the things, as shares of the canvas."""
    if count == 1:
        extent = {"small": 0.42, "big": 0.98, None: 0.8}[scene.things[0].size]
        if scene.side:
            return [(0.27 if scene.side == "left" else 0.73, 0.5, min(extent, 0.5))]
        return [(0.5, 0.5, extent)]
    if scene.stacked:
        return [(0.5, 0.27, 0.48), (0.5, 0.74, 0.48)]
    if count == 2:
        return [(0.26, 0.5, 0.48), (0.74, 0.5, 0.48)]
    return [(0.27, 0.28, 0.44), (0.73, 0.28, 0.44), (0.5, 0.73, 0.44)]
