"""The memory that a picture will need, asked before it is begun: a refusal that names the limit, not a death.

What is needed beside the weights grows with the pixels. A first guess is corrected by what pictures have taken.
"""

import contextlib
import importlib
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

from limner.errors import InvalidRequestError

# Bytes a pixel of a batch, before anything was measured: a decoder's widest layers at full size, in half precision.
FIRST_GUESS = 1500.0
# Bytes that are never given out.
RESERVE = 200_000_000


class MemoryGuard:
    """Knows what pictures cost on one device."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.per_pixel = FIRST_GUESS

    def check(self, width: int, height: int, count: int) -> None:
        """Raises InvalidRequestError: so many pictures of this size will not fit now."""
        free = free_bytes(self._device)
        if free is None:
            return
        room = max(0.0, (free - RESERVE) / self.per_pixel)
        if width * height * count > room:
            side = int(math.sqrt(room / count)) // 64 * 64
            needed, there = width * height * count * self.per_pixel / 1e9, max(0, free - RESERVE) / 1e9
            raise InvalidRequestError(
                f"{width}x{height} needs about {needed:.1f} GB beside the model's weights, and {there:.1f} GB are "
                f"free; about {side}x{side} fits.",
                param="size",
                code="out_of_memory",
            )

    @contextlib.contextmanager
    def watch(self, width: int, height: int, count: int) -> Generator[None]:
        """Learn from the picture that is drawn inside, where the device tells its peak."""
        if not self._device.startswith("cuda"):
            yield
            return
        torch: Any = importlib.import_module("torch")
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        yield
        taken = torch.cuda.max_memory_allocated() - before
        # Small pictures cost more a pixel than large ones: never believe less than half of what was believed.
        self.per_pixel = max(taken / (width * height * count), self.per_pixel / 2)


def free_bytes(device: str) -> int | None:
    """What can be had on the device now; None where nobody tells."""
    if device.startswith("cuda"):
        torch: Any = importlib.import_module("torch")
        free: int = torch.cuda.mem_get_info()[0]
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    told = Path("/proc/meminfo")
    if not told.exists():
        return None
    lines = dict(line.split(":", 1) for line in told.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0])
