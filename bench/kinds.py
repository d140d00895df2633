"""What is encoded and served: pictures of several kinds, SIDE x SIDE x channels bytes."""

import asyncio
from pathlib import Path
from typing import Any

SIDE = 1024


def photograph() -> Any:
    """Detail at every scale, and the grain of a sensor; made, so that anybody can make it again."""
    import numpy as np
    import PIL.Image

    dice = np.random.default_rng(1)
    pixels = dice.normal(0, 2, (SIDE, SIDE, 3))
    for octave in range(2, 10):
        # Brightness varies more than colour, and large things more than small ones: as in photographs.
        side = 2**octave
        coarse = 0.8 * dice.standard_normal((side, side, 1)) + 0.4 * dice.standard_normal((side, side, 3))
        for channel in range(3):
            plane = PIL.Image.fromarray((108 * coarse[..., channel] / side**0.9).astype(np.float32))
            pixels[..., channel] += np.asarray(plane.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))
    return np.clip(pixels + 120, 0, 255).astype(np.uint8)


def drawing() -> Any:
    """Flat shapes with hard edges, one pixel soft."""
    import numpy as np
    import PIL.Image
    import PIL.ImageDraw

    dice = np.random.default_rng(2)
    canvas = PIL.Image.new("RGB", (2 * SIDE, 2 * SIDE), (250, 248, 240))
    pen = PIL.ImageDraw.Draw(canvas)
    for number in range(40):
        colour = tuple(int(value) for value in dice.integers(0, 256, 3))
        x, y, r = (int(value) for value in (*dice.integers(0, 2 * SIDE, 2), dice.integers(20, 300)))
        if number % 3:
            pen.ellipse((x - r, y - r // (number % 3), x + r, y + r), fill=colour)
        else:
            pen.polygon([(x - r, y), (x, y - r), (x + r, y + r // 2)], fill=colour)
    return np.asarray(canvas.resize((SIDE, SIDE), PIL.Image.Resampling.BOX))


def gradient() -> Any:
    """Smooth, with contours that hardly repeat."""
    import numpy as np

    y, x = np.mgrid[0:SIDE, 0:SIDE]
    planes = [np.hypot(x - 512, y - 512) / 3, np.hypot(x - 100, y - 900) / 6, np.hypot(x - 900, y) / 6]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8)


def noise() -> Any:
    """Nothing that any encoder could use."""
    import numpy as np

    return np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def cut_out() -> Any:
    """RGBA: the drawing, there where a soft disc is."""
    import numpy as np

    y, x = np.mgrid[0:SIDE, 0:SIDE]
    alpha = np.clip(400 - np.hypot(x - 512, y - 512), 0, 1) * 255
    return np.dstack([drawing(), alpha.astype(np.uint8)])


def embedded(prompt: str, path: Path) -> None:
    """Have limner-mini draw `prompt` at SIDE x SIDE, and leave the pixels in `path` as numpy saves them."""
    import numpy as np

    from limner.engines.mini import MiniEngine
    from limner.types import Image

    async def drawn() -> Image:
        async with MiniEngine() as mini:
            request = mini.cards()[0].request(prompt, size=f"{SIDE}x{SIDE}", seed=7)
            (image,) = [event async for event in mini.generate(request) if isinstance(event, Image)]
            return image

    image = asyncio.run(drawn())
    np.save(path, np.frombuffer(image.data, np.uint8).reshape(SIDE, SIDE, 3))


def kinds() -> dict[str, Any]:
    """Every kind that can be made without a model, by name."""
    return {
        "photograph": photograph(),
        "drawing": drawing(),
        "gradient": gradient(),
        "cut out, RGBA": cut_out(),
        "noise": noise(),
    }
