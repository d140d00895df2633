"""What a prompt says of colours and of the ground, done to a picture that began with one from outside.

The model draws its thing in its own colours, on what ground the picture had. The matte (`mini_matte.py`) tells one
from the other; where the ground is not plain, all of the picture is thing.
"""

from typing import TYPE_CHECKING

from limner.engines.mini_layout import backdrop
from limner.engines.mini_matte import cut_out
from limner.engines.mini_tint import tint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


# Up to the one strength an edit keeps the colours that it finds, from the other on it has all that it is asked for.
KEEPS, TURNS = 0.25, 0.5


def repaint(
    pixels: "NDArray[np.uint8]", colour: str | None, ground: str | None, strength: float
) -> "NDArray[np.uint8]":
    """A picture (H, W, 3), its thing turned to one of TINTS, on one of COLOURS or PLACES; None is what it has."""
    import numpy as np

    much = min(max((strength - KEEPS) / (TURNS - KEEPS), 0), 1)
    if not much or not (colour or ground):
        return pixels
    cut = cut_out(pixels)
    share = cut[..., 3:].astype(np.float32) / 255
    thing = np.rint(255 + share * (cut[..., :3].astype(np.float32) - 255)).astype(np.uint8)
    turned = tint(thing, colour) if colour else thing
    height, width = pixels.shape[:2]
    # Both lie on white; what is put in its place shows through by as much.
    under = (1 - share) * (backdrop(ground, width, height) - 255) if ground else pixels - thing.astype(np.float32)
    return np.rint(pixels + much * (np.clip(turned + under, 0, 255) - pixels)).astype(np.uint8)
