"""Pictures of every kind that matters to an encoder: (SIDE, SIDE, channels) bytes, RGB or RGBA."""

import numpy as np
import PIL.Image
import PIL.ImageDraw

SIDE = 256


def photograph(channels: int) -> np.ndarray:
    """Detail at every scale and the grain of a sensor."""
    dice = np.random.default_rng(1)
    pixels = dice.normal(0, 2, (SIDE, SIDE, channels))
    for octave in range(2, 8):
        coarse = PIL.Image.fromarray(dice.normal(0, 120 / 2**octave, (2**octave, 2**octave)).astype(np.float32))
        pixels += np.asarray(coarse.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))[..., None]
    return np.clip(pixels + 128, 0, 255).astype(np.uint8)


def drawing(channels: int) -> np.ndarray:
    """Flat shapes with soft edges."""
    mode = {3: "RGB", 4: "RGBA"}[channels]
    picture = PIL.Image.new(mode, (SIDE * 4, SIDE * 4), (250, 248, 240, 0)[:channels])
    pen = PIL.ImageDraw.Draw(picture)
    pen.ellipse((200, 250, 800, 850), fill=(255, 200, 40, 255)[:channels])
    pen.polygon([(300, 300), (420, 60), (500, 320)], fill=(120, 60, 20, 128)[:channels])
    pen.line([(100, 900), (950, 700)], fill=(20, 60, 200, 255)[:channels], width=30)
    return np.asarray(picture.resize((SIDE, SIDE), PIL.Image.Resampling.BOX))


def shaded(channels: int) -> np.ndarray:
    """Smooth: neighbours differ by little and hardly anything repeats."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    planes = [(x + y) // 2, np.hypot(x - 90, y - 120), 255 - y, 40 + x // 2]
    return np.stack(planes[:channels], -1).clip(0, 255).astype(np.uint8)


def enlarged(channels: int) -> np.ndarray:
    """As our small model's pictures are at larger sizes: drawn smaller and resampled, so that edges are soft."""
    small = PIL.Image.fromarray(drawing(channels)).resize((64, 64), PIL.Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS))


def noise(channels: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, channels), np.uint8)


def plain(channels: int) -> np.ndarray:
    return np.full((SIDE, SIDE, channels), 77, np.uint8)


def sloped(channels: int) -> np.ndarray:
    """Planes, which only the filter of three neighbours foretells."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    return np.stack([x, y, (x + y) // 2, 255 - x][:channels], -1).astype(np.uint8)


def rings(channels: int) -> np.ndarray:
    """Smooth, with contours that repeat here and there."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    planes = [np.hypot(x - 128, y - 128), np.hypot(x, y - 200) / 2, np.hypot(x - 250, y) / 2, x]
    return np.stack(planes[:channels], -1).clip(0, 255).astype(np.uint8)


def clouds(channels: int) -> np.ndarray:
    """Smooth in all directions, where the sum of what a filter leaves says little of how well that deflates."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 8, 4), np.uint8)
    picture = PIL.Image.fromarray(coarse, "RGBA").resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
    return np.asarray(picture)[..., :channels]


def wallpaper(channels: int) -> np.ndarray:
    """Noise that comes again 76 pixels to the right and below deflate's window."""
    return np.tile(np.random.default_rng(6).integers(0, 256, (81, 76, channels), np.uint8), (4, 4, 1))[:SIDE, :SIDE]


def tiled(channels: int) -> np.ndarray:
    """Noise that comes again five rows further down, and so looks like noise to whoever sees a few rows."""
    return np.tile(np.random.default_rng(4).integers(0, 256, (5, SIDE, channels), np.uint8), (52, 1, 1))[:SIDE]


def halftone(channels: int) -> np.ndarray:
    """Black and white dots for a ramp of greys."""
    order = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) * 16 + 8
    dots = np.where(np.arange(SIDE) > np.tile(order, (SIDE // 4, SIDE // 4)), 255, 0)
    return np.repeat(dots[..., None], channels, -1).astype(np.uint8)


def written(channels: int) -> np.ndarray:
    """A page of text."""
    picture = PIL.Image.new({3: "RGB", 4: "RGBA"}[channels], (SIDE, SIDE), (255,) * channels)
    pen = PIL.ImageDraw.Draw(picture)
    for line in range(20):
        pen.text(
            (4, 12 * line), f"{line} quick brown foxes jump over it {line * line}", fill=(20, 20, 60, 255)[:channels]
        )
    return np.asarray(picture)


def half_and_half(channels: int) -> np.ndarray:
    """A drawing above, a photograph below."""
    return np.concatenate([drawing(channels)[: SIDE // 2], photograph(channels)[SIDE // 2 :]])


MAKERS = (
    *(photograph, drawing, enlarged, shaded, noise, plain),
    *(sloped, rings, clouds, wallpaper, tiled, halftone, written, half_and_half),
)
KINDS = {each.__name__: each for each in MAKERS}
