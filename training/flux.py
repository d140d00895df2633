"""FLUX.1's transformer in plain PyTorch, parameter for parameter that of `diffusers.FluxTransformer2DModel`.

Why not train the diffusers class itself: attention written as two matmuls and a graph without dispatch compile
to twice the speed on a CPU, and the export is cleaner. tests/parity/test_flux.py holds the two equal.

Shapes: B pictures, S text tokens, N image tokens, D = heads * head_dim, C packed latent channels.
Source: black-forest-labs/flux (architecture), arXiv:2403.03206 (double-stream blocks, rectified flow).
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True, kw_only=True)
class FluxConfig:
    in_channels: int = 128
    num_layers: int = 2
    num_single_layers: int = 8
    attention_head_dim: int = 64
    num_attention_heads: int = 4
    joint_attention_dim: int = 256
    pooled_projection_dim: int = 128
    axes_dims_rope: tuple[int, int, int] = (16, 24, 24)

    def diffusers(self) -> dict:
        """The same as keyword arguments of FluxTransformer2DModel."""
        return {**asdict(self), "patch_size": 1, "guidance_embeds": False}


def rope(ids: torch.Tensor, axes: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines, each (S + N, head_dim), of positions `ids` (S + N, len(axes))."""
    parts = []
    for axis, dim in enumerate(axes):
        frequency = 1.0 / 10000 ** (torch.arange(0, dim, 2, device=ids.device).float() / dim)
        parts.append((ids[:, axis, None].float() * frequency).repeat_interleave(2, dim=1))
    angles = torch.cat(parts, 1)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    pairs = x.unflatten(-1, (-1, 2))
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], -1).flatten(-2)
    return x * cos + turned * sin


def positions(text: int, rows: int, columns: int) -> torch.Tensor:
    """(text + rows * columns, 3): text at the origin, image tokens at (0, row, column)."""
    ids = torch.zeros(text + rows * columns, 3)
    ids[text:, 1] = torch.arange(rows).repeat_interleave(columns)
    ids[text:, 2] = torch.arange(columns).repeat(rows)
    return ids


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(B, heads, T, head_dim) -> (B, T, D). Two matmuls: the fused CPU kernel's backward is slower at these sizes."""
    weights = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2)


class RMSNorm(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        full = x.float()
        return (full * torch.rsqrt(full.square().mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


class Modulation(nn.Module):
    """LayerNorm whose shift, scale and gate come from the time and the pooled text: adaLN-zero."""

    def __init__(self, dim: int, chunks: int):
        super().__init__()
        self.linear = nn.Linear(dim, chunks * dim)
        self.chunks = chunks
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, time: torch.Tensor) -> list[torch.Tensor]:
        return list(self.linear(F.silu(time))[:, None].chunk(self.chunks, -1))


def norm(x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


class Gelu(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.proj = nn.Linear(dim, 4 * dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        # The empty middle stands where diffusers has its dropout, so that the names match.
        self.net = nn.ModuleList([Gelu(dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net[2](self.net[0](x))


class Attention(nn.Module):
    def __init__(self, heads: int, head_dim: int, joint: bool):
        super().__init__()
        dim = heads * head_dim
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim) for _ in range(3))
        self.norm_q, self.norm_k = RMSNorm(head_dim), RMSNorm(head_dim)
        if joint:
            self.add_q_proj, self.add_k_proj, self.add_v_proj = (nn.Linear(dim, dim) for _ in range(3))
            self.norm_added_q, self.norm_added_k = RMSNorm(head_dim), RMSNorm(head_dim)
            self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
            self.to_add_out = nn.Linear(dim, dim)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def image(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = (self._split(f(x)) for f in (self.to_q, self.to_k, self.to_v))
        return self.norm_q(q), self.norm_k(k), v

    def text(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        q, k, v = (self._split(f(x)) for f in (self.add_q_proj, self.add_k_proj, self.add_v_proj))
        return self.norm_added_q(q), self.norm_added_k(k), v


class DoubleBlock(nn.Module):
    """Text and image each with weights of their own, one attention over both."""

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        dim = heads * head_dim
        self.norm1, self.norm1_context = Modulation(dim, 6), Modulation(dim, 6)
        self.attn = Attention(heads, head_dim, joint=True)
        self.ff, self.ff_context = FeedForward(dim), FeedForward(dim)

    def forward(self, x, c, time, cos, sin):
        shift, scale, gate, shift2, scale2, gate2 = self.norm1(time)
        cshift, cscale, cgate, cshift2, cscale2, cgate2 = self.norm1_context(time)
        q, k, v = self.attn.image(norm(x) * (1 + scale) + shift)
        cq, ck, cv = self.attn.text(norm(c) * (1 + cscale) + cshift)
        q, k, v = torch.cat([cq, q], 2), torch.cat([ck, k], 2), torch.cat([cv, v], 2)
        both = attend(rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v), v)
        text, image = both[:, : c.shape[1]], both[:, c.shape[1] :]
        x = x + gate * self.attn.to_out[0](image)
        x = x + gate2 * self.ff(norm(x) * (1 + scale2) + shift2)
        c = c + cgate * self.attn.to_add_out(text)
        c = c + cgate2 * self.ff_context(norm(c) * (1 + cscale2) + cshift2)
        return x, c


class SingleBlock(nn.Module):
    """Attention and feed-forward in parallel over text and image together."""

    def __init__(self, heads: int, head_dim: int):
        super().__init__()
        dim = heads * head_dim
        self.norm = Modulation(dim, 3)
        self.proj_mlp = nn.Linear(dim, 4 * dim)
        self.proj_out = nn.Linear(5 * dim, dim)
        self.attn = Attention(heads, head_dim, joint=False)

    def forward(self, x, time, cos, sin):
        shift, scale, gate = self.norm(time)
        h = norm(x) * (1 + scale) + shift
        q, k, v = self.attn.image(h)
        mixed = attend(rotate(q, cos, sin).type_as(v), rotate(k, cos, sin).type_as(v), v)
        return x + gate * self.proj_out(torch.cat([mixed, F.gelu(self.proj_mlp(h), approximate="tanh")], -1))


class Embedder(nn.Module):
    def __init__(self, source: int, dim: int):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(source, dim), nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class TimeText(nn.Module):
    def __init__(self, pooled: int, dim: int):
        super().__init__()
        self.timestep_embedder, self.text_embedder = Embedder(256, dim), Embedder(pooled, dim)

    def forward(self, t: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        frequency = torch.exp(-math.log(10000) * torch.arange(128, device=t.device) / 128)
        angles = 1000 * t.float()[:, None] * frequency
        time = self.timestep_embedder(torch.cat([angles.cos(), angles.sin()], -1))
        return time + self.text_embedder(pooled)


class Flux(nn.Module):
    """Velocity (noise minus picture) of packed latents at time t in 0..1, where 1 is noise."""

    def __init__(self, config: FluxConfig):
        super().__init__()
        heads, head_dim = config.num_attention_heads, config.attention_head_dim
        dim = heads * head_dim
        self.config = config
        self.time_text_embed = TimeText(config.pooled_projection_dim, dim)
        self.context_embedder = nn.Linear(config.joint_attention_dim, dim)
        self.x_embedder = nn.Linear(config.in_channels, dim)
        self.transformer_blocks = nn.ModuleList(DoubleBlock(heads, head_dim) for _ in range(config.num_layers))
        self.single_transformer_blocks = nn.ModuleList(
            SingleBlock(heads, head_dim) for _ in range(config.num_single_layers)
        )
        self.norm_out = Modulation(dim, 2)
        self.proj_out = nn.Linear(dim, config.in_channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, latents, text, pooled, t, ids):
        """latents (B, N, C), text (B, S, joint), pooled (B, pooled), t (B,), ids (S + N, 3) -> (B, N, C)."""
        cos, sin = rope(ids, self.config.axes_dims_rope)
        time = self.time_text_embed(t, pooled)
        x, c = self.x_embedder(latents), self.context_embedder(text)
        for block in self.transformer_blocks:
            x, c = block(x, c, time, cos, sin)
        x = torch.cat([c, x], 1)
        for block in self.single_transformer_blocks:
            x = block(x, time, cos, sin)
        x = x[:, text.shape[1] :]
        scale, shift = self.norm_out(time)
        return self.proj_out(norm(x) * (1 + scale) + shift)


def pack(latents: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) -> (B, H/2 * W/2, 4C), as FluxPipeline._pack_latents orders it."""
    b, c, h, w = latents.shape
    return latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, c * 4)
