"""In-painting for a model that draws one thing on white: what is drawn is laid into the masked part of a picture.

The masked part is first filled from what surrounds it, smoothly, by pull and push over a pyramid of ever coarser
pictures (S. Gortler and others, The Lumigraph, 1996, section 3.3.2); then the things stand in its middle, as large as
fit there. So whatever the picture is, a photograph even, its ground goes on around them.

Shapes: canvas (H, W, 3), repaint (H, W, 1).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.engines.mini_edit import box_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """Where things are laid into a picture."""

    # The picture, and 0..1 how much of each pixel may change.
    canvas: "NDArray[np.uint8]"
    repaint: "NDArray[np.float32]"
    # Left, top, width and height of the part that the things are laid out in.
    box: tuple[int, int, int, int]

    def finish(self, things: "NDArray[np.uint8]") -> bytes:
        """RGB rows of the canvas with `things`, RGBA of the box's size, in the box; what is kept stays as it was."""
        import numpy as np
        import PIL.Image

        left, top, *_ = self.box
        page = PIL.Image.fromarray(filled(self.canvas, self.repaint)).convert("RGBA")
        page.alpha_composite(PIL.Image.fromarray(things), (left, top))
        new = np.asarray(page.convert("RGB"), np.float32)
        return np.rint(self.repaint * new + (1 - self.repaint) * self.canvas).astype(np.uint8).tobytes()


def patch_of(canvas: "NDArray[np.uint8]", repaint: "NDArray[np.float32]") -> Patch | None:
    """The place for things in what may be repainted, or None where that is all of the picture, or nothing."""
    free = repaint[:, :, 0] > 0
    box = box_of(free)
    if box is None or free.all():
        return None
    left, top, wide, tall = box
    # A disc fills 79 % of its box; things that are to lie inside of it have 89 % of the side.
    share = math.sqrt(free.sum() / (tall * wide))
    width, height = max(1, round(share * wide)), max(1, round(share * tall))
    return Patch(
        canvas=canvas,
        repaint=repaint,
        box=(left + (wide - width) // 2, top + (tall - height) // 2, width, height),
    )


def filled(canvas: "NDArray[np.uint8]", repaint: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """The canvas with what may be repainted filled from what is kept."""
    import numpy as np

    weight = (repaint == 0).astype(np.float32)
    levels = [(canvas * weight, weight)]
    # Pull: averages of what is known, until all is.
    while levels[-1][1].min() == 0 and max(levels[-1][1].shape[:2]) > 1:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    colour, weight = levels.pop()
    found = colour / np.maximum(weight, 1e-6)
    # Push: what is not known at a level is taken from the coarser one.
    while levels:
        colour, weight = levels.pop()
        share = np.minimum(weight, 1)
        found = colour / np.maximum(weight, 1e-6) * share + _grown(found, weight.shape[1], weight.shape[0]) * (
            1 - share
        )
    return np.rint(found.clip(0, 255)).astype(np.uint8)


def _halved(pixels: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Sums of two by two; an odd edge is by itself."""
    import numpy as np

    tall, wide, depth = pixels.shape
    even = np.pad(pixels, ((0, tall % 2), (0, wide % 2), (0, 0)))
    return even.reshape((tall + 1) // 2, 2, (wide + 1) // 2, 2, depth).sum((1, 3))


def _grown(pixels: "NDArray[np.float32]", width: int, height: int) -> "NDArray[np.float32]":
    import numpy as np
    import PIL.Image

    layers = [
        PIL.Image.fromarray(np.ascontiguousarray(pixels[:, :, at])).resize(
            (width, height), PIL.Image.Resampling.BILINEAR
        )
        for at in range(pixels.shape[2])
    ]
    return np.stack([np.asarray(layer, np.float32) for layer in layers], axis=2)
