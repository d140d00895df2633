"""Draws docs/images/transparency.png with the embedded model: things cut out, and laid on squares that show through.

python -m tools.transparency
"""

import asyncio
import sys
from pathlib import Path

import PIL.Image
import PIL.ImageDraw

from limner.engines.mini import MiniEngine
from limner.types import Image

ROOT = Path(__file__).parents[1]
SIDE, SQUARE = 256, 16
# The last is one that does not work.
PROMPTS = ("a cat", "a ghost", "a bicycle", "a snowman")


async def sheet() -> PIL.Image.Image:
    """The things in a row."""
    page = PIL.Image.new("RGB", (SIDE * len(PROMPTS), SIDE), "#d7c4ef")
    draw = PIL.ImageDraw.Draw(page)
    for x in range(0, page.width, SQUARE):
        for y in range(x % (2 * SQUARE), SIDE, 2 * SQUARE):
            draw.rectangle((x, y, x + SQUARE - 1, y + SQUARE - 1), fill="#9fd3a5")
    async with MiniEngine() as engine:
        (card,) = engine.cards()
        for column, prompt in enumerate(PROMPTS):
            request = card.request(prompt, seed=7, size=f"{SIDE}x{SIDE}", background="transparent")
            (image,) = [event async for event in engine.generate(request) if isinstance(event, Image)]
            thing = PIL.Image.frombytes("RGBA", (SIDE, SIDE), image.data)
            page.paste(thing, (column * SIDE, 0), thing)
    return page


def main() -> None:
    """Write the file."""
    path = ROOT / "docs" / "images" / "transparency.png"
    asyncio.run(sheet()).save(path, optimize=True)
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
