"""Image-to-image and in-painting for limner-mini: what a picture from outside means to a model that draws 256x256.

The model sees a square: the whole picture, letterboxed with the colours of its edges, or, where a mask says what may
change, a square around the mask, so that all of the model's few pixels go where something is drawn. Its drawing is
scaled back into that place, and what the mask keeps is never scaled, encoded or decoded at all.

Shapes: h = w = 8 latent cells a side, C = 32 latent channels; packed latents are (1, h * w / 4, 4 * C).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from limner.sources import Source
from limner.types import ImageRequest

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image
    from numpy.typing import NDArray

# The square around a mask, in sides of the mask's box: the model must see what it draws beside.
CONTEXT = 1.5
# A cell of latents is drawn anew when more of it than this is masked.
MASKED_SHARE = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Edit:
    """One edit: the picture at the size of the request, the part that the model sees, and what may change there."""

    # Pixels of the source at the request's size, (H, W, 3).
    canvas: "NDArray[np.uint8]"
    # 0..1, how much of each pixel is repainted, (H, W, 1); all 1 without a mask.
    repaint: "NDArray[np.float32]"
    # The square that the model sees: left, top and side in pixels of the canvas; it may reach beyond the canvas.
    square: tuple[int, int, int]
    # Packed latents of that square, and 1 where they may change, 0 where they are held.
    known: "NDArray[np.float32]"
    free: "NDArray[np.float32]"
    # Steps of the schedule that are left out.
    skipped: int
    # What the thing and the ground are turned to after drawing, one of TINTS and one of COLOURS or PLACES.
    colour: str | None = None
    ground: str | None = None

    def begin(self, noise: "NDArray[np.float32]", sigma: "np.float32") -> "NDArray[np.float32]":
        """The source with as much noise as the schedule has at `sigma`."""
        import numpy as np

        return np.asarray((1 - sigma) * self.known + sigma * noise, np.float32)

    def held(
        self, latents: "NDArray[np.float32]", noise: "NDArray[np.float32]", sigma: "np.float32"
    ) -> "NDArray[np.float32]":
        """`latents` with the source at the level of `sigma` where it is to stay."""
        import numpy as np

        return np.where(self.free > 0, latents, self.begin(noise, sigma))

    def finish(self, drawn: "NDArray[np.uint8]") -> bytes:
        """RGB rows of the canvas with the model's square, (h, w, 3), drawn into it where it may change."""
        import numpy as np
        import PIL.Image

        left, top, side = self.square
        scaled = PIL.Image.fromarray(drawn).resize((side, side), PIL.Image.Resampling.LANCZOS)
        height, width = self.canvas.shape[:2]
        page = PIL.Image.fromarray(self.canvas)
        page.paste(scaled, (left, top))
        new = np.asarray(page, np.float32)
        mixed = self.repaint * new + (1 - self.repaint) * self.canvas
        return np.rint(mixed).astype(np.uint8).reshape(height, width, 3).tobytes()


def canvas_of(request: ImageRequest) -> tuple["NDArray[np.uint8]", "NDArray[np.float32]"]:
    """The request's sources on one page of its size, and what of it may be repainted.

    With a mask, further sources lie inside its box, in a row: what is to be drawn there. Without one, all lie side by
    side in a grid on white.
    """
    import numpy as np
    import PIL.Image

    size = (request.width, request.height)
    first = request.images[0]
    if not request.mask:
        page = _grid(request.images, size) if len(request.images) > 1 else letterboxed(_opened(first), size)
        return np.asarray(page), np.ones((*size[::-1], 1), np.float32)
    page = letterboxed(_opened(first), size)
    marked = PIL.Image.frombytes("L", (first.width, first.height), request.mask)
    box = _place((first.width, first.height), size)
    mask = PIL.Image.new("L", size)
    # Nearest: between what is kept and what is not there is no third thing.
    mask.paste(marked.resize(box[2:], PIL.Image.Resampling.NEAREST), box[:2])
    found = mask.getbbox()
    if found and len(request.images) > 1:
        inside = (found[2] - found[0], found[3] - found[1])
        page.paste(_grid(request.images[1:], inside), found[:2])
    return np.asarray(page), np.asarray(mask, np.float32)[:, :, None] / np.float32(255)


def square_of(repaint: "NDArray[np.float32]") -> tuple[int, int, int]:
    """Left, top and side of what the model should see."""
    height, width = repaint.shape[:2]
    whole = max(height, width)
    box = box_of(repaint[:, :, 0] > 0)
    if box is None or repaint.all():
        return (width - whole) // 2, (height - whole) // 2, whole
    first, upper, wide, tall = box
    side = min(whole, max(math.ceil(CONTEXT * max(tall, wide)), 64))
    middle = (first + wide // 2, upper + tall // 2)
    left, top = (_within(at - side // 2, side, most) for at, most in zip(middle, (width, height), strict=True))
    return left, top, side


def box_of(marked: "NDArray[np.bool]") -> tuple[int, int, int, int] | None:
    """Left, top, width and height of what is marked in (H, W), or None where nothing is."""
    import numpy as np

    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def crop(pixels: "NDArray[Any]", square: tuple[int, int, int]) -> "NDArray[Any]":
    """The square of (H, W, C), edges carried on where it reaches beyond."""
    import numpy as np

    left, top, side = square
    rows = np.clip(np.arange(top, top + side), 0, pixels.shape[0] - 1)
    columns = np.clip(np.arange(left, left + side), 0, pixels.shape[1] - 1)
    return pixels[rows][:, columns]


def free_cells(repaint: "NDArray[np.float32]", cells: int) -> "NDArray[np.float32]":
    """(cells, cells): 1 where the square (S, S, 1) may change by more than MASKED_SHARE, or at all if no cell does."""
    import numpy as np
    import PIL.Image

    share = np.asarray(
        PIL.Image.fromarray(repaint[:, :, 0]).resize((cells, cells), PIL.Image.Resampling.BOX), np.float32
    )
    free = share > MASKED_SHARE
    return (free if free.any() else share > 0).astype(np.float32)


def skipped_steps(sigmas: "NDArray[np.float32]", strength: float, shift: float) -> int:
    """Steps to leave out: those whose noise is above that of `strength` on the shifted scale. One is always taken."""
    import numpy as np

    level = shift * strength / (1 + (shift - 1) * strength)
    below = np.flatnonzero(sigmas[:-1] <= level + 1e-6)
    return int(below[0]) if len(below) else len(sigmas) - 2


def _within(start: int, length: int, most: int) -> int:
    """`start` moved so that the length lies within 0..most; centred where it is longer."""
    return (most - length) // 2 if length >= most else min(max(start, 0), most - length)


def _opened(source: Source) -> "PIL.Image.Image":
    """RGB; what is transparent shows white."""
    import PIL.Image

    picture = PIL.Image.frombytes("RGBA", (source.width, source.height), source.pixels)
    ground = PIL.Image.new("RGBA", picture.size, "white")
    return PIL.Image.alpha_composite(ground, picture).convert("RGB")


def _place(inner: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, width, height of the largest `inner` shape in the middle of `outer`."""
    scale = min(outer[0] / inner[0], outer[1] / inner[1])
    width, height = (max(1, min(most, round(side * scale))) for side, most in zip(inner, outer, strict=True))
    return (outer[0] - width) // 2, (outer[1] - height) // 2, width, height


def letterboxed(picture: "PIL.Image.Image", size: tuple[int, int]) -> "PIL.Image.Image":
    """The picture fitted into `size`, its edges carried on to fill the rest."""
    import numpy as np
    import PIL.Image

    left, top, width, height = _place(picture.size, size)
    if picture.size != (width, height):
        picture = picture.resize((width, height), PIL.Image.Resampling.LANCZOS)
    around = ((top, size[1] - height - top), (left, size[0] - width - left), (0, 0))
    return PIL.Image.fromarray(np.pad(np.asarray(picture), around, mode="edge"))


def _grid(sources: tuple[Source, ...], size: tuple[int, int]) -> "PIL.Image.Image":
    """Sources side by side on white, in as many columns as suit the page."""
    import PIL.Image

    page = PIL.Image.new("RGB", size, "white")
    columns = min(len(sources), max(1, round(math.sqrt(len(sources) * size[0] / size[1]))))
    rows = math.ceil(len(sources) / columns)
    cell = (max(1, size[0] // columns), max(1, size[1] // rows))
    for index, source in enumerate(sources):
        left, top, width, height = _place((source.width, source.height), cell)
        picture = _opened(source).resize((width, height), PIL.Image.Resampling.LANCZOS)
        page.paste(picture, (index % columns * cell[0] + left, index // columns * cell[1] + top))
    return page
