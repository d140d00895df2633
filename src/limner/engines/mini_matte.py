"""A transparent ground for limner-mini, which draws on a plain one: a matte derived from the picture, not drawn.

What is of the ground's colour and hangs together with the border becomes transparent. Along the edges of things each
pixel is a mixture of thing and ground; its share of the thing becomes its alpha, and the ground's share is taken out
of its colour (T. Porter and T. Duff, Compositing Digital Images, 1984), so that no fringe of the ground is left on
another. What lies inside of things stays opaque, whatever its colour: a white patch on a cat, and the hole of a ring.

Shapes: pixels (H, W, 3) to (H, W, 4), distances and masks (H, W).
"""

from typing import TYPE_CHECKING

from limner.engines.mini_edit import Edit, letterboxed
from limner.types import ImageRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The decoder's ground strays from its own colour: less on white than on a colour, and so many levels of 0..255 are
# allowed beyond what 99 of 100 pixels of the border do, within these bounds.
MORE, LEAST, MOST = 8, 10, 32
# The decoder draws an edge over about so many pixels of a picture of 256.
EDGE = 7 / 256
# The matte of a larger picture is made at this size and grown: the model draws no finer.
SIDE = 512
# The outermost pixels are off colour, as many as this of the shorter side.
RIM = 1 / 64
# Side of the squares in which single pixels of a matte are outvoted.
SPECK = 5
# Levels from the ground's colour by which an edge in a picture larger than its matte is that of the thing.
EDGE_FAR = 48
# Of the colour farthest from the ground near by: what is this far from it is thing and nothing else.
WHOLE = 0.9


def cut_out(pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """RGBA of an RGB picture, its ground transparent and without colour."""
    import numpy as np
    import PIL.Image

    height, width = pixels.shape[:2]
    small = PIL.Image.fromarray(pixels)
    small.thumbnail((SIDE, SIDE), PIL.Image.Resampling.BOX)
    alpha, ground = matte_of(np.asarray(small))
    if alpha.shape != (height, width):
        grown = PIL.Image.fromarray(alpha).resize((width, height), PIL.Image.Resampling.BILINEAR)
        # Between the open and a thing, the finer picture says where the ground ends.
        far = np.abs(pixels - ground).max(axis=2)
        alpha = np.asarray(grown, np.float32)
        alpha = np.where(alpha < 1, np.minimum(alpha, far / EDGE_FAR), alpha)
    alpha = alpha[:, :, None]
    colour = ground + (pixels - ground) / np.maximum(alpha, 1 / 255)
    colour = np.where(alpha > 0, np.clip(colour, 0, 255), 0)
    return np.rint(np.concatenate((colour, 255 * alpha), axis=2)).astype(np.uint8)


def matte_of(pixels: "NDArray[np.uint8]") -> tuple["NDArray[np.float32]", "NDArray[np.float32]"]:
    """The alpha of each pixel, 0..1, (H, W), and the colour of the ground, (3,)."""
    import numpy as np

    height, width = pixels.shape[:2]
    rim = max(1, round(RIM * min(height, width)))
    inner = pixels[rim : height - rim, rim : width - rim] if min(height, width) > 2 * rim else pixels
    beside = [((side - part) // 2,) * 2 for side, part in zip((height, width), inner.shape[:2], strict=True)]
    seen = np.pad(inner, (*beside, (0, 0)), mode="edge").astype(np.float32)
    border = np.concatenate((seen[0], seen[-1], seen[:, 0], seen[:, -1]))
    ground = np.median(border, axis=0)
    stray = np.percentile(np.abs(border - ground).max(axis=1), 99) + MORE
    far = np.abs(seen - ground).max(axis=2)
    open_ = flooded(far <= np.clip(stray, LEAST, MOST))
    return _alpha(far, open_, max(1, round(EDGE * min(height, width)))), ground


def cut_out_of_edit(edit: Edit, drawn: "NDArray[np.uint8]", request: ImageRequest) -> bytes:
    """RGBA rows of an edit with the model's square, (h, w, 3), in it: what a mask keeps is as it came, alpha too."""
    import numpy as np
    import PIL.Image

    height, width = edit.canvas.shape[:2]
    made = cut_out(np.frombuffer(edit.finish(drawn), np.uint8).reshape(height, width, 3))
    if request.mask:
        first = request.images[0]
        source = PIL.Image.frombytes("RGBA", (first.width, first.height), first.pixels)
        made = np.where(edit.repaint > 0, made, np.asarray(letterboxed(source, (width, height))))
    return made.tobytes()


def flooded(open_: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """What of `open_` hangs together with the border, by rows and columns."""
    import numpy as np

    reached = np.zeros_like(open_)
    reached[[0, -1]], reached[:, [0, -1]] = open_[[0, -1]], open_[:, [0, -1]]
    count = -1
    # Each round carries the flood to the ends of all rows and of all columns that it has reached.
    while count != (count := int(reached.sum())):
        reached = _along_rows(reached, open_)
        reached = _along_rows(reached.T, open_.T).T
    return reached


def _along_rows(reached: "NDArray[np.bool_]", open_: "NDArray[np.bool_]") -> "NDArray[np.bool_]":
    """All of each run of `open_` in a row of which something is reached."""
    import numpy as np

    # A wall before every row keeps runs of neighbouring rows apart.
    walled = np.pad(open_, ((0, 0), (1, 0)))
    starts = walled[:, 1:] & ~walled[:, :-1]
    run = np.cumsum(starts.ravel())
    hit = np.zeros(run[-1] + 1, bool)
    hit[run[reached.ravel()]] = True
    return hit[run].reshape(open_.shape) & open_


def _alpha(far: "NDArray[np.float32]", open_: "NDArray[np.bool_]", edge: int) -> "NDArray[np.float32]":
    """0..1: 0 in the open, 1 in things, between them the share of the thing's colour, over `edge` pixels at most."""
    import numpy as np
    import PIL.Image
    import PIL.ImageFilter

    window = PIL.ImageFilter.MaxFilter(2 * edge + 1)
    peak = np.asarray(PIL.Image.fromarray(np.rint(far).astype(np.uint8)).filter(window), np.float32)
    share = np.clip(far / np.maximum(WHOLE * peak, 1), 0, 1)
    # An edge rises from the open into the thing. What lies behind its top, as the white inside an outline, is none.
    level = np.where(open_, far, np.inf)
    for _ in range(edge):
        lowest = _least_of_neighbours(level)
        level = np.where(np.isinf(level) & (lowest < far), far, level)
    alpha = np.where(open_, 0, np.where(np.isinf(level), 1, share))
    # Specks of the ground that the flood did not get to, and the teeth where it got between pale pixels.
    even = PIL.Image.fromarray(np.rint(255 * alpha).astype(np.uint8)).filter(PIL.ImageFilter.MedianFilter(SPECK))
    return np.asarray(even, np.float32) / np.float32(255)


def _least_of_neighbours(level: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    padded = np.pad(level, 1, constant_values=np.inf)
    sides = padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]
    return np.minimum.reduce(sides)
