"""Pictures between a request's size and the size that is drawn, a multiple of the model's cells."""

import math
from typing import Any

from limner.engines.diffusers_family import Family
from limner.engines.mini_edit import canvas_of
from limner.errors import InvalidRequestError
from limner.sources import Source
from limner.types import ImageRequest


def opened(source: Source) -> Any:
    """RGB; what is transparent shows white."""
    import PIL.Image

    picture = PIL.Image.frombytes("RGBA", (source.width, source.height), source.pixels)
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def reference(source: Source, family: Family) -> Any:
    """A picture for an `edit` to look at; one that is too small for the model is enlarged.

    Raises:
        InvalidRequestError: it is longer than the model can look at.
    """
    import PIL.Image

    picture = opened(source)
    short, long = sorted(picture.size)
    if long > family.most_ratio * short:
        raise InvalidRequestError(
            f"The image is {source.width}x{source.height}; this model looks at pictures whose longer side is at most "
            f"{family.most_ratio:.0f} times the other. Cut it first.",
            param="image",
        )
    if short >= family.least_side:
        return picture
    scale = family.least_side / short
    return picture.resize([math.ceil(side * scale) for side in picture.size], PIL.Image.Resampling.LANCZOS)


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
