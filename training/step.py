"""The transformer's step as it is exported: the same numbers as `flux.Flux` in half as many operations.

A picture of 16 tokens is so small that what an operation costs by itself is half of a step. So what takes the same
input is one product: all modulations, and queries, keys, values and the feed-forward's first half. Factors that are
known beforehand go into the weights: 1 + scale, and the square root that attention divides by.

Shapes: B pictures, S text and N image tokens, T = S + N, H heads of E numbers, D = H * E.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from flux import Attention, Flux, Modulation, norm, rope

# Weights of several linear layers as one matrix: its rows are theirs.
Join = Callable[[Sequence[torch.Tensor]], torch.Tensor]
# Which parts of a modulation are scales: of a block's three or six, and of the last layer's two.
SCALES = {3: (1,), 6: (1, 4), 2: (0,)}


class Product(nn.Module):
    """Several linear layers of one input."""

    def __init__(self, layers: Sequence[nn.Linear], join: Join):
        super().__init__()
        self.weight = nn.Parameter(join([layer.weight.data for layer in layers]))
        self.bias = nn.Parameter(torch.cat([layer.bias.data for layer in layers]))
        self.widths = [layer.out_features for layer in layers]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


class Heads(nn.Module):
    """Queries, keys and values (B, T, 3D) of one stream: normed per head, keys and queries ready to be turned."""

    def __init__(self, attention: Attention, norm_q: nn.Module, norm_k: nn.Module, head_dim: int):
        super().__init__()
        self.heads = attention.heads
        # (2H, E); attention divides by the square root of E.
        weights = [norm_q.weight.data * head_dim**-0.5, norm_k.weight.data]
        self.weight = nn.Parameter(torch.stack(weights).repeat_interleave(self.heads, 0))

    def forward(self, qkv: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries over keys (B, T, 2H, E), values (B, T, H, E)."""
        qk, v = qkv.split([2 * qkv.shape[-1] // 3, qkv.shape[-1] // 3], -1)
        qk = qk.unflatten(-1, (2 * self.heads, -1))
        qk = qk / torch.sqrt(qk.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight
        return qk, v.unflatten(-1, (self.heads, -1))


class Turn(nn.Module):
    """Rotary positions and attention. What turns a pair of numbers by a right angle is a product too."""

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        self.heads = heads
        quarter = torch.zeros(head_dim, head_dim)
        even = torch.arange(0, head_dim, 2)
        quarter[even + 1, even] = -1
        quarter[even, even + 1] = 1
        self.quarter = nn.Parameter(quarter)

    def forward(self, qk, v, cos, sin):
        """qk (B, T, 2H, E), v (B, T, H, E), cos and sin (T, 1, E) -> (B, T, D)."""
        qk = (qk * cos + (qk @ self.quarter) * sin).transpose(1, 2)
        q, k = qk.split(self.heads, 1)
        weights = (q @ k.transpose(-1, -2)).softmax(-1)
        return (weights @ v.transpose(1, 2)).transpose(1, 2).flatten(2)


class Step(nn.Module):
    """Called as `Flux` is."""

    def __init__(self, flux: Flux, join: Join = torch.cat):
        super().__init__()
        heads, head_dim = flux.config.num_attention_heads, flux.config.attention_head_dim
        self.axes = flux.config.axes_dims_rope
        self.time_text_embed, self.x_embedder, self.context_embedder = (
            flux.time_text_embed, flux.x_embedder, flux.context_embedder,
        )  # fmt: skip
        self.last, self.turn = flux.proj_out, Turn(heads, head_dim)
        self.doubles, self.singles = flux.transformer_blocks, flux.single_transformer_blocks
        modulations: list[Modulation] = [m for block in self.doubles for m in (block.norm1, block.norm1_context)]
        modulations += [*(block.norm for block in self.singles), flux.norm_out]
        self.modulate = Product([m.linear for m in modulations], join)
        self.parts = [self.modulate.widths[i] // m.chunks for i, m in enumerate(modulations) for _ in range(m.chunks)]
        self._raise_scales(modulations)
        self.image, self.text, self.both = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.image_heads, self.text_heads, self.both_heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for attn in (block.attn for block in self.doubles):
            self.image.append(Product([attn.to_q, attn.to_k, attn.to_v], join))
            self.text.append(Product([attn.add_q_proj, attn.add_k_proj, attn.add_v_proj], join))
            self.image_heads.append(Heads(attn, attn.norm_q, attn.norm_k, head_dim))
            self.text_heads.append(Heads(attn, attn.norm_added_q, attn.norm_added_k, head_dim))
        for block in self.singles:
            attn = block.attn
            self.both.append(Product([attn.to_q, attn.to_k, attn.to_v, block.proj_mlp], join))
            self.both_heads.append(Heads(attn, attn.norm_q, attn.norm_k, head_dim))

    def _raise_scales(self, modulations: Sequence[Modulation]) -> None:
        """1 + scale: the one goes into the bias."""
        at = 0
        for modulation in modulations:
            width = modulation.linear.out_features // modulation.chunks
            for part in SCALES[modulation.chunks]:
                self.modulate.bias.data[at + part * width : at + (part + 1) * width] += 1
            at += modulation.linear.out_features

    def forward(self, latents, text, pooled, t, ids):
        """latents (B, N, C), text (B, S, joint), pooled (B, pooled), t (B,), ids (S + N, 3) -> (B, N, C)."""
        cos, sin = (table[:, None] for table in rope(ids, self.axes))
        time = F.silu(self.time_text_embed(t, pooled))
        parts = iter(self.modulate(time)[:, None].split(self.parts, -1))
        x, c = self.x_embedder(latents), self.context_embedder(text)
        for i, block in enumerate(self.doubles):
            shift, scale, gate, shift2, scale2, gate2 = (next(parts) for _ in range(6))
            cshift, cscale, cgate, cshift2, cscale2, cgate2 = (next(parts) for _ in range(6))
            qk, v = self.image_heads[i](self.image[i](norm(x) * scale + shift))
            cqk, cv = self.text_heads[i](self.text[i](norm(c) * cscale + cshift))
            mixed = self.turn(torch.cat([cqk, qk], 1), torch.cat([cv, v], 1), cos, sin)
            ctext, image = mixed.split([c.shape[1], x.shape[1]], 1)
            x = x + gate * block.attn.to_out[0](image)
            x = x + gate2 * block.ff(norm(x) * scale2 + shift2)
            c = c + cgate * block.attn.to_add_out(ctext)
            c = c + cgate2 * block.ff_context(norm(c) * cscale2 + cshift2)
        x = torch.cat([c, x], 1)
        for i, block in enumerate(self.singles):
            shift, scale, gate = (next(parts) for _ in range(3))
            made = self.both[i](norm(x) * scale + shift)
            qkv, wide = made.split([sum(self.both[i].widths[:3]), self.both[i].widths[3]], -1)
            mixed = self.turn(*self.both_heads[i](qkv), cos, sin)
            x = x + gate * block.proj_out(torch.cat([mixed, F.gelu(wide, approximate="tanh")], -1))
        scale, shift = next(parts), next(parts)
        return self.last(norm(x[:, text.shape[1] :]) * scale + shift)
