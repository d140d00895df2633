"""Scenes with their captions, composed from drawings: what limner-mini sees.

A scene is first drawn by lot as words (`limner.engines.mini_scene.Scene`) and then painted, so the caption says all
that is there. It is one thing on white, since the engine lays scenes out by itself (`mini_layout.py`). There is little
chance in how it is painted: the same caption gives nearly the same picture, which lets a small model learn it from few
samples and draw it in few steps.
"""

from dataclasses import dataclass

import numpy as np

from data import Drawing, Drawings, paste
from limner.engines.mini_layout import DRAWN
from limner.engines.mini_scene import Scene, Thing

# What people ask for first is shown more often.
FAVOURITES = frozenset(
    (
        "cat", "dog", "red apple", "house", "rocket", "pizza", "deciduous tree", "automobile", "banana", "bird", "fish",
        "sun", "star", "rose", "sunflower", "horse", "bicycle", "airplane", "robot", "person", "guitar", "hot beverage",
        "birthday cake", "red heart", "mountain", "crescent moon", "cloud", "lion", "elephant", "waving hand",
        "globe showing europe-africa",
    )
)  # fmt: skip
# How often each style is drawn; the flat one is what a bare prompt asks for.
SHARES = {None: 0.4, "3d": 0.3, "cartoon": 0.4}
# Drawings dealt before the deck is shuffled anew.
DECK = 6000


@dataclass(frozen=True, kw_only=True)
class Painted:
    # uint8 RGB, shape (size, size, 3).
    pixels: np.ndarray
    scene: Scene


class Composer:
    """One thing near the middle of white."""

    def __init__(self, drawings: Drawings, size: int):
        self.drawings = drawings
        self.size = size
        favoured = [drawings.concepts[item.concept].label in FAVOURITES for item in drawings.items]
        weights = [
            SHARES[item.style] * (2 if often else 1) for item, often in zip(drawings.items, favoured, strict=True)
        ]
        self._shares = np.cumsum(weights) / sum(weights)
        self._deck: list[int] = []

    def scene(self, rng: np.random.Generator) -> Painted:
        drawing = self.drawings.items[self._deal(rng)]
        thing = Thing(label=self.drawings.concepts[drawing.concept].label)
        return Painted(pixels=self._paint(drawing, rng), scene=Scene(things=(thing,), style=drawing.style))

    def _deal(self, rng: np.random.Generator) -> int:
        """The next drawing of a shuffled deck that holds each as often as its share, so that none is missed long."""
        if not self._deck:
            cards = (np.arange(DECK) + rng.random()) / DECK
            self._deck = rng.permutation(np.searchsorted(self._shares, cards)).tolist()
        return min(self._deck.pop(), len(self._shares) - 1)

    def _paint(self, drawing: Drawing, rng: np.random.Generator) -> np.ndarray:
        """uint8 (size, size, 3)."""
        canvas = np.full((self.size, self.size, 3), 255, np.float32)
        moved = rng.uniform(-0.015, 0.015, 3)
        paste(canvas, drawing.pixels, (0.5 + moved[0], 0.5 + moved[1]), DRAWN * (1 + moved[2]))
        return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
