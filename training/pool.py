"""The latents that the flow learns from, ready in memory."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from autoencoder import begin_outer, encode, encoder_of, to_tensor
from checkpoint import half
from data import Drawings
from feed import Feed
from flux import pack
from scenes import Composer


class Pool:
    """Packed latents of composed scenes with their captions, kept on disk and renewed a little at each `renew`."""

    def __init__(self, args: argparse.Namespace, device: str):
        drawings = Drawings(args.packages, args.cache, styles=tuple(args.styles))
        self.labels = [concept.label for concept in drawings.concepts]
        begun = begin_outer(args.out, args.begin) if args.begin else None
        self._vae, size = encoder_of(args.out)
        self._feed = Feed(Composer(drawings, size), 64, seed=int(time.time()))
        self._vae.to(device, memory_format=torch.channels_last).eval()
        self._device = device
        self.size, self._next = args.pool, 0
        self.latents = torch.empty(0)
        self.captions: list[str] = []
        self._fill(args.out / "pool.pt")
        self.shift, self.scale = begun or self._measured(args.out / "flow.pt")

    def _measured(self, flow: Path) -> tuple[float, float]:
        """Shift and scale of the latents: measured once and then kept, for the flow's weights depend on them."""
        if flow.exists():
            state = torch.load(flow, map_location="cpu", weights_only=True)
            return state["shift"], state["scale"]
        sample = self.latents[:4096].float()
        return sample.mean().item(), 1 / sample.std().item()

    def _fill(self, path: Path) -> None:
        if path.exists():
            kept = torch.load(path, weights_only=True)
            if len(kept["captions"]) == self.size:
                self.latents, self.captions = kept["latents"], kept["captions"]
                return
        started = time.monotonic()
        many: list[torch.Tensor] = []
        while len(self.captions) < self.size:
            latents, captions = self._encode()
            many.append(latents)
            self.captions += captions
        self.captions = self.captions[: self.size]
        self.latents = torch.cat(many)[: self.size]
        torch.save({"latents": self.latents, "captions": self.captions}, path)
        print(f"pool of {self.size} scenes after {time.monotonic() - started:.0f} s", flush=True)

    @torch.no_grad()
    def _encode(self) -> tuple[torch.Tensor, list[str]]:
        painted = self._feed.scenes()
        pixels = to_tensor(np.stack([p.pixels for p in painted]), self._device)
        with half(self._device):
            latents = encode(self._vae, pixels.contiguous(memory_format=torch.channels_last))
        return pack(latents.float().contiguous()).half().cpu(), [p.scene.caption() for p in painted]

    def renew(self) -> None:
        """Put freshly composed scenes in the place of the oldest."""
        latents, captions = self._encode()
        count = min(len(captions), self.size - self._next)
        self.latents[self._next : self._next + count] = latents[:count]
        self.captions[self._next : self._next + count] = captions[:count]
        self._next = (self._next + count) % self.size

    def batch(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        """Latents (size, N, C) at the flow's scale, with their captions."""
        rows = rng.integers(self.size, size=size)
        latents = (self.latents[rows].to(self._device).float() - self.shift) * self.scale
        return latents, [self.captions[i] for i in rows]
