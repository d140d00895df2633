"""Weights rounded to eight bits, in a way that half precision holds exactly.

Each output channel of a matrix or a kernel is a whole number of -127..127 times a scale of that channel. The scale has
four significant bits, so that the product has eleven, which is what half precision has: the graphs ship the whole
numbers, the checkpoint ships halves, and the two are the same weights (LOG.md, 2026-11-24, has the error).
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

MOST = 127
# Smaller arrays stay as they are.
LEAST_SIZE = 512


def scales(weight: torch.Tensor) -> torch.Tensor:
    """The least scale of four significant bits that reaches each channel's largest weight: (channels,)."""
    largest = weight.flatten(1).abs().amax(1).clamp(min=1e-4) / MOST
    mantissa, exponent = torch.frexp(largest)
    return torch.ldexp(torch.ceil(mantissa * 16) / 16, exponent)


class Grid:
    """Rounds modules, and knows their weights again when it meets them in a graph."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    @torch.no_grad()
    def round(self, module: nn.Module) -> nn.Module:
        """Round the weights in place, matrices and kernels to the grid and all else to halves; ready to be used."""
        for weight in module.parameters():
            if weight.dim() < 2 or weight.numel() < LEAST_SIZE:
                weight.data = weight.data.half().float()
                continue
            scale = scales(weight.data).reshape(-1, *[1] * (weight.dim() - 1))
            # No negative zeros: a byte has none, and weights are known again by their bits.
            whole = torch.round(weight.data / scale).clamp(-MOST, MOST) + 0.0
            weight.data = whole * scale
            self._keep(whole.to(torch.int8).numpy(), scale.numpy())
        return module.eval()

    def join(self, weights: Sequence[torch.Tensor]) -> torch.Tensor:
        """Matrices of the grid one below the other, as one that is on it too."""
        pairs = [self._known[_key(weight.numpy())] for weight in weights]
        self._keep(*(np.concatenate(parts) for parts in zip(*pairs, strict=True)))
        return torch.cat(list(weights))

    def _keep(self, whole: np.ndarray, scale: np.ndarray) -> None:
        self._known[_key(whole * scale)] = whole, scale
        if whole.ndim == 2:
            # The exporter turns a matrix where it likes.
            self._known[_key((whole * scale).T)] = whole.T.copy(), scale.T.copy()

    def find(self, array: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Whole numbers and the scales that they broadcast with, or None for what was not rounded."""
        return self._known.get(_key(array))


def _key(array: np.ndarray) -> str:
    return f"{array.shape} {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()}"
