"""Pictures between a request's size and the size that is drawn, a multiple of the model's cells."""

from typing import Any

from limner.engines.mini_edit import canvas_of
from limner.sources import Source
from limner.types import ImageRequest


def opened(source: Source) -> Any:
    """RGB; what is transparent shows white."""
    import PIL.Image

    picture = PIL.Image.frombytes("RGBA", (source.width, source.height), source.pixels)
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def grown(picture: Any, width: int, height: int) -> Any:
    """The picture with its last rows and columns carried on to the size that is drawn."""
    import numpy as np
    import PIL.Image

    pixels = np.asarray(picture)
    around = ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), *([(0, 0)] * (pixels.ndim - 2)))
    return PIL.Image.fromarray(np.pad(pixels, around, mode="edge"))


def cut(picture: Any, request: ImageRequest) -> Any:
    """What was drawn beyond the request's size, to be a multiple of the model's cells, is cut off."""
    if picture.size == (request.width, request.height):
        return picture
    return picture.crop((0, 0, request.width, request.height))


def kept(picture: Any, request: ImageRequest) -> Any:
    """The drawing where the mask says so, and the source's own pixels where it does not."""
    import numpy as np
    import PIL.Image

    page, repaint = canvas_of(request)
    mixed = repaint * np.asarray(picture, np.float32) + (1 - repaint) * page
    return PIL.Image.fromarray(np.rint(mixed).astype(np.uint8))
