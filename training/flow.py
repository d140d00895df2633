"""Train the flow transformer and both text encoders on the latents of the frozen inner autoencoder.

Rectified flow: z_t = (1 - t) * picture + t * noise, the model predicts noise - picture, times are logit-normal
(arXiv:2403.03206 section 3.1). Captions are dropped for classifier-free guidance. An exponential moving average
of the weights is what gets exported.

    python flow.py --minutes 80 --out runs/first            # resumes where runs/first/flow.pt stands
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from autoencoder import INNER, INNER_SIZE, build, encode, to_tensor
from checkpoint import Clock, arguments, load, save
from data import STYLES, Composer, Drawings
from feed import Feed
from flux import Flux, FluxConfig, pack, positions
from text import LENGTHS, clip, clip_tokenizer, t5, t5_tokenizer, train_tokenizer

DROP = 0.1
EMA = 0.998
# Phrases that people put around a thing; the long form of a caption wears them so that they change nothing.
FILLER = (
    "please draw me {}", "i would like to see {}", "generate an image of {}", "create a beautiful picture of {}",
    "{}, highly detailed, best quality", "{}, 4k, trending, masterpiece", "a cute {} in the middle of the picture",
    "a nice and simple illustration of {}", "{}, digital art", "a high quality photo of {}, sharp focus",
)  # fmt: skip


class Painter(nn.Module):
    """Everything that learns here, under one state dict."""

    def __init__(self, config: FluxConfig):
        super().__init__()
        self.flux = Flux(config)
        self.t5 = t5(config.joint_attention_dim)
        self.clip = clip(config.pooled_projection_dim)

    def forward(self, latents, t, t5_ids, clip_ids, ids):
        text = self.t5(input_ids=t5_ids).last_hidden_state
        pooled = self.clip(input_ids=clip_ids).pooler_output
        return self.flux(latents, text, pooled, t, ids)


class Pool:
    """Packed latents of composed scenes with their captions, kept in memory and renewed a little at each step."""

    def __init__(self, args: argparse.Namespace, device: str):
        drawings = Drawings(args.packages, args.cache, styles=tuple(args.styles))
        self._feed = Feed(Composer(drawings, INNER_SIZE), 64, seed=int(time.time()))
        self._vae = build(INNER).to(device, memory_format=torch.channels_last).eval()
        load(args.out / "inner.pt", self._vae)
        self._device = device
        self.size, self._next = args.pool, 0
        self.shift, self.scale = 0.0, 1.0
        first, captions = self._encode()
        self.latents = torch.empty(self.size, *first.shape[1:], dtype=torch.float16)
        self.captions: list[tuple[str, ...]] = [()] * self.size
        self._store(first, captions)
        while self._next:
            self._store(*self._encode())

    @torch.no_grad()
    def _encode(self) -> tuple[torch.Tensor, list[tuple[str, ...]]]:
        scenes = self._feed.scenes()
        pixels = to_tensor(np.stack([s.pixels for s in scenes]), self._device)
        with torch.autocast(self._device, torch.bfloat16):
            latents = encode(self._vae, pixels.contiguous(memory_format=torch.channels_last))
        return pack(latents.float().contiguous()).half().cpu(), [s.captions for s in scenes]

    def _store(self, latents: torch.Tensor, captions: list[tuple[str, ...]]) -> None:
        count = min(len(captions), self.size - self._next)
        self.latents[self._next : self._next + count] = latents[:count]
        self.captions[self._next : self._next + count] = captions[:count]
        self._next = (self._next + count) % self.size

    def renew(self) -> None:
        self._store(*self._encode())

    def batch(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[str]]:
        rows = rng.integers(self.size, size=size)
        captions = [self.captions[i][int(rng.integers(len(self.captions[i])))] for i in rows]
        return (self.latents[rows].to(self._device).float() - self.shift) * self.scale, captions


def words(captions: list[str], rng: np.random.Generator, long: bool) -> list[str]:
    """Captions with some dropped and, in the long form, most of them dressed in filler."""
    out = []
    for caption in captions:
        if rng.random() < DROP:
            caption = ""
        elif long and rng.random() < 0.7:
            caption = FILLER[int(rng.integers(len(FILLER)))].format(caption)
        out.append(caption)
    return out


def train(args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = np.random.default_rng(int(time.time()))
    started = time.monotonic()
    pool = Pool(args, device)
    print(f"pool of {pool.size} scenes after {time.monotonic() - started:.0f} s", flush=True)
    vocabulary = args.out / "tokenizer.json"
    if not vocabulary.exists():
        train_tokenizer([c for many in pool.captions for c in many] + [f.format("") for f in FILLER] * 50).save(
            str(vocabulary)
        )
    tokenizer = Tokenizer.from_file(str(vocabulary))
    t5_words, clip_words = t5_tokenizer(tokenizer), clip_tokenizer(tokenizer)
    model = Painter(FluxConfig(num_layers=args.double, num_single_layers=args.single)).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    step = _resume(args.out / "flow.pt", model, optimiser, pool)
    average = copy.deepcopy(model).eval()
    if step:
        average.load_state_dict(torch.load(args.out / "flow.pt", weights_only=True, map_location=device)["average"])
    compiled = torch.compile(model, dynamic=False) if args.compile else model
    side = 4
    clock, seen, begun, first = Clock(args.minutes), [], time.monotonic(), step
    while not clock.done():
        lr = args.lr * min(1, (step + 1) / 200) * clock.decay()
        for group in optimiser.param_groups:
            group["lr"] = lr
        if step % args.renew_every == 0:
            pool.renew()
        length = LENGTHS[0] if rng.random() < 0.85 else LENGTHS[1]
        latents, captions = pool.batch(args.batch, rng)
        texts = words(captions, rng, length == LENGTHS[1])
        tokens = [
            words_of(texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt")["input_ids"]
            for words_of in (t5_words, clip_words)
        ]
        t = torch.sigmoid(torch.randn(args.batch, device=device) + args.time_mean)
        noise = torch.randn_like(latents)
        mixed = latents + t[:, None, None] * (noise - latents)
        with torch.autocast(device, torch.bfloat16):
            velocity = compiled(mixed, t, *(ids.to(device) for ids in tokens), positions(length, side, side).to(device))
        loss = (velocity.float() - (noise - latents)).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        _follow(average, model, min(EMA, step / (step + 50)))
        seen.append(loss.item())
        if step % 50 == 0:
            rate = (step - first) * args.batch / (time.monotonic() - begun)
            print(f"flow step {step} loss {np.mean(seen[-50:]):.4f} {rate:.0f} samples/s {clock}", flush=True)
        if step % args.save_every == 0:
            _save(args, model, average, optimiser, step, pool)
    _save(args, model, average, optimiser, step, pool)


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    own, new = list(average.state_dict().values()), list(model.state_dict().values())
    floats = [(a, b) for a, b in zip(own, new, strict=True) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)


def _save(args, model, average, optimiser, step, pool) -> None:
    save(args.out / "flow.pt", model, optimiser, step, average=average.state_dict(),
         config={"num_layers": args.double, "num_single_layers": args.single},
         shift=pool.shift, scale=pool.scale)  # fmt: skip


def _resume(path: Path, model: Painter, optimiser: torch.optim.Optimizer, pool: Pool) -> int:
    """Load what there is; the latents' scale is measured once and then kept, for the weights depend on it."""
    if path.exists():
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        pool.shift, pool.scale = state["shift"], state["scale"]
        return state["step"]
    sample = pool.latents[:4096].float()
    pool.shift, pool.scale = sample.mean().item(), 1 / sample.std().item()
    print(f"latents: shift {pool.shift:.4f} scale {pool.scale:.4f}", flush=True)
    return 0


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1.2e-3)
    parser.add_argument("--double", type=int, default=2)
    parser.add_argument("--single", type=int, default=8)
    parser.add_argument("--time-mean", type=float, default=0.2)
    parser.add_argument("--styles", nargs="+", choices=tuple(STYLES), default=list(STYLES))
    parser.add_argument("--pool", type=int, default=40_000)
    parser.add_argument("--renew-every", type=int, default=4)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()
    train(args)


if __name__ == "__main__":
    main()
