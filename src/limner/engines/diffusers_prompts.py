"""Prompt embeddings, kept: the text encoders are large, and people draw one prompt again and again."""

import contextlib
import importlib
from collections.abc import Generator, Hashable
from typing import Any

# Bytes of embeddings that are kept; a prompt of FLUX takes 4 MB, one of a small model kilobytes.
MAX_BYTES = 256_000_000


class PromptCache:
    """What `encode_prompt` gave for each set of arguments, the longest unused dropped first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: dict[Hashable, tuple[Any, int]] = {}
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    @contextlib.contextmanager
    def of(self, pipeline: Any, more: Hashable) -> Generator[None]:
        """Have the pipeline ask here first. `more`: what else changes the embeddings, such as LoRAs."""
        encode = pipeline.encode_prompt

        def remembered(*arguments: Any, **options: Any) -> Any:
            key = _key((type(pipeline).__name__, more, arguments, sorted(options.items())))
            if key is None:
                return encode(*arguments, **options)
            if key in self._kept:
                self.hits += 1
                self._kept[key] = self._kept.pop(key)
                return self._kept[key][0]
            self.misses += 1
            found = encode(*arguments, **options)
            self._keep(key, found)
            return found

        pipeline.encode_prompt = remembered
        try:
            yield
        finally:
            del pipeline.encode_prompt

    def _keep(self, key: Hashable, found: Any) -> None:
        size = _bytes_of(found)
        self._kept[key] = (found, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            oldest = next(iter(self._kept))
            self._bytes -= self._kept.pop(oldest)[1]


def _key(value: Any) -> Hashable | None:
    """Arguments as a key; None where they hold tensors or pictures, which are not looked into."""
    torch: Any = importlib.import_module("torch")
    if isinstance(value, list | tuple):
        parts = [_key(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        return None if None in parts else tuple(parts)
    if value is None:
        return ("none",)
    if isinstance(value, str | int | float | bool | torch.device | torch.dtype):
        return value
    return value if isinstance(value, Hashable) and type(value).__module__ == "limner.loras" else None


def _bytes_of(value: Any) -> int:
    torch: Any = importlib.import_module("torch")
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, list | tuple):
        return sum(map(_bytes_of, value))  # pyright: ignore[reportUnknownArgumentType]
    return 0
