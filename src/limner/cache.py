"""Finished pictures kept in memory, for when the very same is asked for again. Belongs to one event loop."""

from collections import OrderedDict
from collections.abc import Sequence

from limner.types import Image

# What the bookkeeping of a picture costs beside its bytes, so that many tiny ones are bounded too.
OVERHEAD = 1000


class PictureCache:
    """Encoded pictures by name, within `limit` bytes; the one that was not used for the longest time goes first."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # Bytes that are held.
        self.held = 0
        # Pictures that went to make room.
        self.evicted = 0
        self._kept: OrderedDict[str, Image] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, names: Sequence[str]) -> list[Image] | None:
        """All of them, or None where one is missing."""
        found = [self._kept[name] for name in names if name in self._kept]
        if len(found) < len(names):
            return None
        for name in names:
            self._kept.move_to_end(name)
        return found

    def put(self, name: str, image: Image) -> None:
        """Keep a picture, unless it alone is over the limit."""
        old = self._kept.pop(name, None)
        if old is not None:
            self.held -= _size(old)
        if _size(image) > self.limit:
            return
        self._kept[name] = image
        self.held += _size(image)
        while self.held > self.limit:
            _, oldest = self._kept.popitem(last=False)
            self.held -= _size(oldest)
            self.evicted += 1


def _size(image: Image) -> int:
    return len(image.data) + OVERHEAD
