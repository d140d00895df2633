"""Several things in one picture, from a model that draws one thing well: each is drawn by itself and laid out here.

The present weights cannot keep two things apart (training/LOG.md: the judge finds both in 0 % of their pictures). So a
scene of more than one thing, or with a place, a side or a size, is drawn as one sample a thing, each on white, and
its matte (`mini_matte.py`) lays it into its place. The model draws the things, this says where they are and paints
the place. Weights that do it all themselves say so in card.json, and then nothing of this is used.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from limner.engines.mini_matte import cut_out
from limner.engines.mini_scene import PLACES, Scene, Thing

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
# What the model's drawing of one thing takes of the picture's side.
DRAWN = 0.82
# What a thing alone takes, by its size.
EXTENTS: Mapping[str | None, float] = MappingProxyType({"small": 0.42, "big": 0.98, None: 0.8})


def composed(scene: Scene) -> bool:
    """Whether the scene is more than one thing on plain ground."""
    (first, *more) = scene.things
    return bool(more) or first.count > 1 or bool(first.size or scene.side or scene.ground in PLACES)


def parts(scene: Scene) -> list[Scene]:
    """Each thing of the scene, as often as it is counted, by itself on white."""
    return [
        Scene(things=(Thing(label=thing.label, colour=thing.colour),))
        for thing in scene.things
        for _ in range(thing.count)
    ]


def spots(scene: Scene) -> list[tuple[float, float, float]]:
    """Centre and extent of each thing, as shares of the picture's side."""
    count = sum(thing.count for thing in scene.things)
    if count == 1:
        extent = EXTENTS[scene.things[0].size]
        if scene.side:
            return [(0.27 if scene.side == "left" else 0.73, 0.5, min(extent, 0.5))]
        return [(0.5, 0.5, extent)]
    if scene.stacked:
        return [(0.5, 0.27, 0.48), (0.5, 0.74, 0.48)]
    if count == 2:
        return [(0.26, 0.5, 0.48), (0.74, 0.5, 0.48)]
    return [(0.27, 0.28, 0.44), (0.73, 0.28, 0.44), (0.5, 0.73, 0.44)]


def backdrop(name: str | None, size: int) -> "NDArray[np.float32]":
    """(size, size, 3) in 0..255 of a colour, a place or a time; None is white."""
    import numpy as np

    canvas = np.full((size, size, 3), 255, np.float32)
    if name is None:
        return canvas
    if name in GROUNDS:
        canvas[:] = GROUNDS[name]
    elif name in BANDS:
        top = 0
        for edge, first, last in BANDS[name]:
            bottom = round(edge * size)
            canvas[top:bottom] = np.linspace(first, last, bottom - top, dtype=np.float32)[:, None]
            top = bottom
    if name == "night":
        dot = max(1, size // 128)
        for x, y in (np.random.RandomState(3).rand(STARS, 2) * (size - dot)).astype(int):
            canvas[y : y + dot, x : x + dot] = STAR
    return canvas


def lay_out(
    scene: Scene, drawn: Sequence["NDArray[np.uint8]"], size: int, *, clear: bool = False
) -> "NDArray[np.uint8]":
    """The picture of the things `drawn`, each (h, h, 3) on white: (size, size, 3), or 4 channels without a ground."""
    import numpy as np
    import PIL.Image

    ground = PIL.Image.fromarray(backdrop(None if clear else scene.ground, size).astype(np.uint8)).convert("RGBA")
    if clear:
        ground.putalpha(0)
    for pixels, (x, y, extent) in zip(drawn, spots(scene), strict=True):
        side = max(1, round(extent / DRAWN * size))
        thing = PIL.Image.fromarray(cut_out(pixels)).resize((side, side), PIL.Image.Resampling.LANCZOS)
        layer = PIL.Image.new("RGBA", ground.size)
        layer.paste(thing, (round(x * size - side / 2), round(y * size - side / 2)))
        ground = PIL.Image.alpha_composite(ground, layer)
    return np.asarray(ground if clear else ground.convert("RGB"))
