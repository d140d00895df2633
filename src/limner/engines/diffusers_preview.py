"""What a picture looks like while it is drawn: from the latents after a step to pixels.

A small decoder is simply run. A large one costs more than a step, so it is run once; a linear map from a cell's
channels to its mean colour is fitted to what it made, and serves from then on. It works for any latent space.
"""

import importlib
from typing import Any

from limner.engines.diffusers_parts import Parts

# Weights of a decoder that is run for each preview.
SMALL_DECODER = 10_000_000


class Previewer:
    """Makes previews of one model."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._small = sum(weight.numel() for weight in parts.base.vae.parameters()) < SMALL_DECODER
        # (C + 1, 3), the last row for a constant; None until it is fitted.
        self._map: Any = None

    def pixels(self, latents: Any, width: int, height: int) -> Any:
        """(h, w, 3) bytes on the CPU, of one row of latents as the pipeline has them; h and w may be fewer cells."""
        torch: Any = importlib.import_module("torch")
        cells = spatial(self._parts, latents, width, height)
        if self._map is not None:
            flat = cells.float().flatten(1).T
            mapped = torch.cat([flat, torch.ones_like(flat[:, :1])], 1) @ self._map
            return as_bytes(mapped.T.reshape(3, *cells.shape[1:]))
        decoded = decode(self._parts, cells)
        if not self._small:
            self._fit(cells, decoded)
        return as_bytes(decoded)

    def _fit(self, cells: Any, decoded: Any) -> None:
        torch: Any = importlib.import_module("torch")
        flat = cells.float().flatten(1).T
        pooled = torch.nn.functional.adaptive_avg_pool2d(decoded.float(), cells.shape[1:]).flatten(1).T
        known = torch.cat([flat, torch.ones_like(flat[:, :1])], 1).cpu()
        # A little ridge: few cells and many channels leave it undetermined.
        ridge = 1e-3 * len(known) * torch.eye(known.shape[1])
        self._map = torch.linalg.solve(known.T @ known + ridge, known.T @ pooled.cpu()).to(cells.device)


def spatial(parts: Parts, latents: Any, width: int, height: int) -> Any:
    """One row of latents as (C, h, w), unscaled: packed tokens are laid out again."""
    scale = int(parts.base.vae_scale_factor)
    if parts.family.latents == "plain":
        return latents
    rows, columns = height // (2 * scale), width // (2 * scale)
    grid = latents.reshape(rows, columns, -1)
    if parts.family.latents == "tokens":
        return grid.permute(2, 0, 1)
    grid = grid.reshape(rows, columns, -1, 2, 2).permute(2, 0, 3, 1, 4)
    return grid.reshape(-1, 2 * rows, 2 * columns)


def decode(parts: Parts, cells: Any) -> Any:
    """(C, h, w) to (3, H, W) in 0..1, as the pipeline's own last lines do it."""
    torch: Any = importlib.import_module("torch")
    vae = parts.base.vae
    config = vae.config
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    cells = cells[None].to(vae.dtype)

    def along(values: Any) -> Any:
        return torch.as_tensor(values, dtype=cells.dtype, device=cells.device).view(1, -1, 1, 1)

    if parts.family.latents == "tokens":
        cells = cells * along((vae.bn.running_var + config.batch_norm_eps).sqrt()) + along(vae.bn.running_mean)
        _, channels, rows, columns = cells.shape
        cells = cells.reshape(1, channels // 4, 2, 2, rows, columns).permute(0, 1, 4, 2, 5, 3)
        cells = cells.reshape(1, channels // 4, 2 * rows, 2 * columns)
    elif mean is not None and deviation is not None:
        cells = cells * along(deviation) / config.get("scaling_factor", 1.0) + along(mean)
    else:
        cells = cells / config.get("scaling_factor", 1.0) + (config.get("shift_factor") or 0.0)
    if any(weight.dim() == 5 for weight in vae.parameters()):
        return vae.decode(cells[:, :, None], return_dict=False)[0][0, :, 0] / 2 + 0.5
    return vae.decode(cells, return_dict=False)[0][0] / 2 + 0.5


def as_bytes(pixels: Any) -> Any:
    """(3, H, W) in 0..1 to (H, W, 3) bytes on the CPU; converted where it lies, so that less is moved."""
    torch: Any = importlib.import_module("torch")
    return (pixels.detach().clamp(0, 1).float() * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu()
