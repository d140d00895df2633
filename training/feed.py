"""Scenes composed in a thread beside the trainer, a batch ahead of it."""

import queue
import threading

import numpy as np

from scenes import Composer, Painted


class Feed:
    """An endless supply of batches. `seed` makes it deterministic; the queue holds a few batches at most."""

    def __init__(self, composer: Composer, batch: int, seed: int):
        self._composer, self._batch = composer, batch
        self._rng = np.random.default_rng(seed)
        self._ready: queue.Queue[list[Painted]] = queue.Queue(maxsize=4)
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._ready.put([self._composer.scene(self._rng) for _ in range(self._batch)])

    def scenes(self) -> list[Painted]:
        return self._ready.get()

    def pixels(self) -> np.ndarray:
        """uint8 (B, H, W, 3)."""
        return np.stack([s.pixels for s in self.scenes()])
