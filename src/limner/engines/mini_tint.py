"""Things turned to the colour that was asked for.

The model draws each thing in its own colours, and what leads among these is turned here, so that every thing can have
every colour: the hue that most of it has, or, where none leads, its greys. The other colours stay.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Degrees.
HUES: Mapping[str, int] = MappingProxyType(
    {"red": 0, "orange": 28, "yellow": 52, "green": 125, "blue": 214, "purple": 275, "pink": 325}
)
# Colours without a hue of their own: degrees, share of the saturation kept, least value, share of the value kept.
SHADES: Mapping[str, tuple[int, float, int, float]] = MappingProxyType(
    {
        "brown": (25, 0.75, 0, 0.6),
        "gray": (0, 0.05, 20, 0.6),
        "black": (0, 0.1, 10, 0.2),
        "white": (0, 0.05, 190, 0.25),
    }
)
# Share of the thing from which on a hue leads it, and the saturation that a grey thing gets.
LEADS, DYED = 0.2, 150
# Degrees from the leading hue within which a pixel is turned wholly, and beyond which it is not.
NEAR, FAR = 30, 45


def tint(pixels: "NDArray[np.uint8]", colour: str) -> "NDArray[np.uint8]":
    """A thing on white (H, W, 3), its leading colour turned to `colour`, one of mini_scene.TINTS."""
    import numpy as np
    import PIL.Image

    hue, saturation, value = np.moveaxis(np.asarray(PIL.Image.fromarray(pixels).convert("HSV"), np.float32), 2, 0)
    degrees = hue * (360 / 255)
    thing = (saturation > 24) | (value < 225)
    led = _leading(degrees, thing & (saturation > 70) & (value > 60), int(thing.sum()))
    if led is None:
        # The darkest are outlines and eyes, the lightest what is white.
        part = thing * np.clip((value - 40) / 40, 0, 1)
        saturation = np.maximum(saturation, DYED)
        value = 60 + value * (195 / 255)
    else:
        part = np.clip((FAR - _apart(degrees, led)) / (FAR - NEAR), 0, 1)
    turned = np.empty_like(pixels, np.float32)
    if colour in HUES:
        turned[..., 0], turned[..., 1], turned[..., 2] = HUES[colour] * (255 / 360), saturation, value
    else:
        at, kept, least, share = SHADES[colour]
        turned[..., 0], turned[..., 1], turned[..., 2] = at * (255 / 360), saturation * kept, least + value * share
    dyed = np.asarray(PIL.Image.fromarray(turned.clip(0, 255).astype(np.uint8), "HSV").convert("RGB"), np.float32)
    # White is white whatever its hue: what has no colour to turn stays.
    part = part * np.clip(saturation / 40, 0, 1)
    mixed = pixels + part[..., None] * (dyed - pixels)
    return (mixed + 0.5).astype(np.uint8)


def _leading(degrees: "NDArray[np.float32]", vivid: "NDArray[np.bool_]", size: int) -> float | None:
    """The hue, in degrees, around which most vivid pixels lie, or None where they are too few of `size`."""
    import numpy as np

    counts = np.bincount((degrees[vivid] / 10).astype(int) % 36, minlength=36)
    near = counts + np.roll(counts, 1) + np.roll(counts, -1)
    best = int(near.argmax())
    return best * 10 + 5.0 if near[best] > LEADS * size else None


def _apart(degrees: "NDArray[np.float32]", hue: float) -> "NDArray[np.float32]":
    import numpy as np

    return np.abs((degrees - hue + 180) % 360 - 180)
