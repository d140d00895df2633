"""Several things in one picture, from a model that draws one thing well: each is drawn by itself and laid out here.

The weights are taught one thing on white (training/scenes.py). So a scene of more than one thing, or with a ground, a
place, a side or a size, is drawn as one sample a thing, each on white, and its matte (`mini_matte.py`) lays it into
its place. The model draws the things, `mini_tint.py` turns their colours, this says where they are and paints the
ground. Weights that do it all themselves say so in card.json, and then nothing of this is used.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from limner.engines.mini_matte import cut_out
from limner.engines.mini_scene import Scene, Thing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Colour = tuple[int, int, int]
GROUNDS: Mapping[str, Colour] = MappingProxyType(
    {
        "red": (226, 60, 52), "orange": (247, 148, 46), "yellow": (250, 218, 74), "green": (76, 175, 92),
        "blue": (66, 133, 224), "light blue": (150, 208, 246), "purple": (142, 84, 190), "pink": (248, 164, 200),
        "brown": (140, 96, 66), "gray": (150, 152, 156), "black": (22, 22, 26), "beige": (240, 226, 200),
    }
)  # fmt: skip
# Colours of the places from top to bottom: to which share of the height, from which colour to which.
BANDS: Mapping[str, tuple[tuple[float, Colour, Colour], ...]] = MappingProxyType(
    {
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
    }
)  # fmt: skip
STARS, STAR = 40, (236, 232, 200)
# What a drawing of one thing takes of the picture's side, as the model has learnt it.
DRAWN = 0.86
# Places that things stand on, at this share of the height; and how deep a thing that stands on another reaches into it.
STANDING, FLOOR, SUNK = ("grass", "beach", "snow", "desert", "room"), 0.92, 0.06
# What each of several takes of its cell's side, by its size.
FILLED: Mapping[str | None, float] = MappingProxyType({"small": 0.55, "big": 0.98, None: 0.94})
# What a thing alone takes of the shorter side, by its size.
EXTENTS: Mapping[str | None, float] = MappingProxyType({"small": 0.42, "big": 0.98, None: 0.8})


def composed(scene: Scene) -> bool:
    """Whether the scene is more than one thing in the middle of white."""
    (first, *more) = scene.things
    return bool(more) or first.count > 1 or bool(first.size or scene.side or scene.ground)


def parts(scene: Scene) -> list[Scene]:
    """Each thing of the scene, as often as it is counted, by itself on white and in its own colours."""
    return [Scene(things=(Thing(label=thing.label),), style=scene.style) for thing in scene.each()]


def spots(scene: Scene, width: int, height: int) -> list[tuple[float, float, float]]:
    """Centre and side of the square that each thing has, in pixels of the picture."""
    short = min(width, height)
    count = sum(thing.count for thing in scene.things)
    if count == 1:
        extent = EXTENTS[scene.things[0].size] * short
        if scene.side:
            return [((0.27 if scene.side == "left" else 0.73) * width, 0.5 * height, min(extent, 0.5 * width))]
        return [(0.5 * width, 0.5 * height, extent)]
    columns = 1 if scene.stacked else columns_of(count, width, height)
    rows = math.ceil(count / columns)
    cell = min(width / columns, height / rows)
    found: list[tuple[float, float, float]] = []
    for row in range(rows):
        here = min(columns, count - row * columns)
        # A row that is not full stands in the middle.
        left = (columns - here) / 2
        found += [((left + at + 0.5) * width / columns, (row + 0.5) * height / rows, cell) for at in range(here)]
    return [(x, y, FILLED[thing.size] * side) for (x, y, side), thing in zip(found, scene.each(), strict=True)]


def columns_of(count: int, width: int, height: int) -> int:
    """In how many columns so many squares are largest; of equals, the most."""
    return max(range(1, count + 1), key=lambda n: (min(width / n, height / math.ceil(count / n)), n))


def backdrop(name: str | None, width: int, height: int) -> "NDArray[np.float32]":
    """(height, width, 3) in 0..255 of a colour, a place or a time; None is white."""
    import numpy as np

    canvas = np.full((height, width, 3), 255, np.float32)
    if name is None:
        return canvas
    if name in GROUNDS:
        canvas[:] = GROUNDS[name]
    elif name in BANDS:
        top = 0
        for edge, first, last in BANDS[name]:
            bottom = round(edge * height)
            canvas[top:bottom] = np.linspace(first, last, bottom - top, dtype=np.float32)[:, None]
            top = bottom
    if name == "night":
        dot = max(1, min(width, height) // 128)
        for x, y in (np.random.RandomState(3).rand(STARS, 2) * (width - dot, height - dot)).astype(int):
            canvas[y : y + dot, x : x + dot] = STAR
    return canvas


def lay_out(
    scene: Scene, drawn: Sequence["NDArray[np.uint8]"], width: int, height: int, *, clear: bool = False
) -> "NDArray[np.uint8]":
    """The picture of the things `drawn`, each (h, h, 3) on white: (height, width, 3), or RGBA without a ground."""
    import numpy as np
    import PIL.Image

    plain = backdrop(None if clear else scene.ground, width, height).astype(np.uint8)
    ground = PIL.Image.fromarray(plain).convert("RGBA")
    if clear:
        ground.putalpha(0)
    found = spots(scene, width, height)
    sides = [max(1, round(extent / DRAWN)) for *_, extent in found]
    things = [
        PIL.Image.fromarray(cut_out(pixels)).resize((side, side), PIL.Image.Resampling.LANCZOS)
        for pixels, side in zip(drawn, sides, strict=True)
    ]
    boxes = [thing.getbbox() or (0, 0, *thing.size) for thing in things]
    tops = _tops(scene, [y - side / 2 for (_, y, _), side in zip(found, sides, strict=True)], boxes, height)
    for thing, (x, *_), top in zip(things, found, tops, strict=True):
        layer = PIL.Image.new("RGBA", ground.size)
        layer.paste(thing, (round(x - thing.width / 2), round(top)))
        ground = PIL.Image.alpha_composite(ground, layer)
    return np.asarray(ground if clear else ground.convert("RGB"))


def _tops(scene: Scene, tops: list[float], boxes: Sequence[tuple[int, int, int, int]], height: int) -> list[float]:
    """Where each thing's square begins, so that what it holds, its box, stands on the ground or on the other thing."""
    if scene.stacked:
        (_, _, _, bottom), (_, top, _, _) = boxes
        return [tops[1] + top - bottom + SUNK * (boxes[0][3] - boxes[0][1]), tops[1]]
    if scene.ground in STANDING and max(tops) - min(tops) < height / 4:
        return [FLOOR * height - bottom for _, _, _, bottom in boxes]
    return tops
