"""Draws docs/images/sheet.png, the prompts of training/sheet.txt, and docs/images/first.png, the README's own twelve.

python -m tools.sheet
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image

from limner.engines.mini import MiniEngine
from limner.types import Image

ROOT = Path(__file__).parents[1]
FIRST = (
    "a cat", "a red apple", "a house in the snow", "a rocket at night", "a pizza", "five birds in the sky",
    "hello world user", "кошка и собака на пляже", "a red car and a blue house", "a 3D robot", "a cartoon owl",
    "向日葵",
)  # fmt: skip


async def drawn(prompts: Sequence[str], side: int) -> list[np.ndarray]:
    """uint8 (side, side, 3) of each prompt, the seeds counted up from 0."""
    found: list[np.ndarray] = []
    async with MiniEngine() as engine:
        card = engine.cards()[0]
        for seed, prompt in enumerate(prompts):
            async for event in engine.generate(card.request(prompt, seed=seed, size=f"{side}x{side}")):
                if isinstance(event, Image):
                    print(f"{prompt:40} {event.prompt}")
                    found.append(np.frombuffer(event.data, np.uint8).reshape(side, side, 3))
    return found


def sheet(pictures: Sequence[np.ndarray], columns: int, path: Path) -> None:
    """Side by side, `columns` in a row."""
    rows = [np.concatenate(pictures[at : at + columns], 1) for at in range(0, len(pictures), columns)]
    PIL.Image.fromarray(np.concatenate(rows)).save(path, optimize=True)


def main() -> None:
    """Write both files."""
    images = ROOT / "docs" / "images"
    sheet(asyncio.run(drawn(FIRST, 192)), 6, images / "first.png")
    prompts = (ROOT / "training" / "sheet.txt").read_text(encoding="utf-8").splitlines()
    sheet(asyncio.run(drawn(prompts, 128)), 8, images / "sheet.png")


if __name__ == "__main__":
    main()
