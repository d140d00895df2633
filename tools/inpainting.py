"""Draws docs/images/inpainting.png with the embedded model: three rows of picture, mask and result.

python -m tools.inpainting
"""

import asyncio
import sys
from pathlib import Path

import PIL.Image
import PIL.ImageDraw

from limner.engines.mini import MiniEngine
from limner.sources import Source
from limner.types import Image, ImageRequest

ROOT = Path(__file__).parents[1]
# Wider than the model's own square, so that there is ground to draw on.
WIDTH, HEIGHT, GAP = 416, 256, 12
# What is there, what is drawn into it, the ellipse of the mask, and the seed.
ROWS = (
    ("a red apple on a blue background", "a yellow star", (6, 20, 116, 130), 7),
    ("a house on a green background", "a sun", (300, 10, 410, 120), 3),
    ("a cat on a white background", "a red apple", (290, 130, 410, 250), 9),
)


async def drawn(engine: MiniEngine, request: ImageRequest) -> PIL.Image.Image:
    """The request's one picture."""
    images = [event async for event in engine.generate(request) if isinstance(event, Image)]
    return PIL.Image.frombytes("RGB", (images[0].width, images[0].height), images[0].data)


async def sheet() -> PIL.Image.Image:
    """The whole contact sheet."""
    page = PIL.Image.new("RGB", (3 * WIDTH + 4 * GAP, len(ROWS) * (HEIGHT + GAP) + GAP), "#dddddd")
    async with MiniEngine() as engine:
        (card,) = engine.cards()
        for row, (there, wished, box, seed) in enumerate(ROWS):
            before = await drawn(engine, card.request(there, seed=seed, quality="high", size=f"{WIDTH}x{HEIGHT}"))
            mask = PIL.Image.new("L", before.size)
            PIL.ImageDraw.Draw(mask).ellipse(box, fill=255)
            source = Source(pixels=before.convert("RGBA").tobytes(), width=before.width, height=before.height)
            request = card.request(wished, images=(source,), mask=mask.tobytes(), seed=seed, quality="high")
            after = await drawn(engine, request)
            kept = PIL.Image.composite(before, after, mask)
            if kept.tobytes() != before.tobytes():
                raise SystemExit("what the mask keeps has changed")
            for column, picture in enumerate((before, mask.convert("RGB"), after)):
                page.paste(picture, (GAP + column * (WIDTH + GAP), GAP + row * (HEIGHT + GAP)))
    return page


def main() -> None:
    """Write the file."""
    path = ROOT / "docs" / "images" / "inpainting.png"
    asyncio.run(sheet()).save(path, optimize=True)
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
