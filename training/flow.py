"""Train the flow transformer and both text encoders on the latents of the frozen encoder.

Rectified flow: z_t = (1 - t) * picture + t * noise, the model predicts noise - picture, times are logit-normal
(arXiv:2403.03206 section 3.1), most of them late: what a word looks like is learnt where the noise hides the picture.
Captions are dropped for classifier-free guidance. An exponential moving average
of the weights is what gets exported.

    python flow.py --minutes 80 --out runs/first            # resumes where runs/first/flow.pt stands
    python flow.py --minutes 80 --begin checkpoint          # a new run that takes a checkpoint's weights up
"""

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from checkpoint import Clock, arguments, half, load, save
from data import STYLES
from flux import Flux, FluxConfig, positions
from muon import optimiser_of
from pool import Pool
from text import LENGTH, clip, clip_tokenizer, make_tokenizer, t5, t5_tokenizer

DROP = 0.1
EMA = 0.998
# Image tokens a side.
SIDE = 4


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


class Words:
    """Captions to the ids of both encoders, (B, LENGTH) each."""

    def __init__(self, tokenizer: Tokenizer):
        self._t5, self._clip = t5_tokenizer(tokenizer), clip_tokenizer(tokenizer)

    def __call__(self, captions: list[str]) -> list[torch.Tensor]:
        how = {"padding": "max_length", "truncation": True, "max_length": LENGTH, "return_tensors": "pt"}
        return [words_of(captions, **how)["input_ids"] for words_of in (self._t5, self._clip)]


def vocabulary(path: Path, pool: Pool) -> Tokenizer:
    """The run's tokenizer, made when there is none yet."""
    if not path.exists():
        make_tokenizer(pool.labels).save(str(path))
    return Tokenizer.from_file(str(path))


@torch.no_grad()
def begin_from(checkpoint: Path, model: Painter, tokenizer: Tokenizer) -> None:
    """Take the weights of a FluxPipeline up. A token starts as the mean of its pieces there."""
    from safetensors.torch import load_file

    model.flux.load_state_dict(load_file(checkpoint / "transformer/diffusion_pytorch_model.safetensors"))
    old = Tokenizer.from_file(str(checkpoint / "tokenizer_2/tokenizer.json"))
    spelt = {
        i: old.encode(tokenizer.decode([i]), add_special_tokens=False).ids for i in range(3, tokenizer.get_vocab_size())
    }
    for part, folder in ((model.t5, "text_encoder_2"), (model.clip, "text_encoder")):
        given = load_file(checkpoint / folder / "model.safetensors")
        own = part.state_dict()
        for name, value in given.items():
            target = own.get(name, own.get(name.removeprefix("text_model.")))
            if target is None:
                continue
            if target.shape == value.shape:
                target.copy_(value)
            elif target.shape[1:] == value.shape[1:] and len(target) < len(value) and "position" in name:
                target.copy_(value[: len(target)])
            elif target.shape[1:] == value.shape[1:]:
                target[:3] = value[:3].to(target)
                for token, pieces in spelt.items():
                    if pieces:
                        target[token] = value[pieces].float().mean(0)


def velocity_loss(model, latents, tokens, time_mean: float, ids) -> torch.Tensor:
    device = latents.device
    t = torch.sigmoid(torch.randn(len(latents), device=device) + time_mean)
    noise = torch.randn_like(latents)
    mixed = latents + t[:, None, None] * (noise - latents)
    with half(device.type):
        velocity = model(mixed, t, *(part.to(device) for part in tokens), ids)
    return (velocity.float() - (noise - latents)).square().mean()


def train(args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = np.random.default_rng(int(time.time()))
    pool = Pool(args, device)
    tokenizer = vocabulary(args.out / "tokenizer.json", pool)
    words = Words(tokenizer)
    model = Painter(FluxConfig(num_layers=args.double, num_single_layers=args.single)).to(device)
    if args.begin and not (args.out / "flow.pt").exists():
        begin_from(args.begin, model, tokenizer)
    optimiser = optimiser_of(model, args.lr)
    step = load(args.out / "flow.pt", model, optimiser)
    average = copy.deepcopy(model).eval()
    if step:
        average.load_state_dict(torch.load(args.out / "flow.pt", weights_only=True, map_location=device)["average"])
    compiled = torch.compile(model, dynamic=False) if args.compile else model
    ids = positions(LENGTH, SIDE, SIDE).to(device)
    clock, seen, begun, first = Clock(args.minutes), [], time.monotonic(), step
    while not clock.done():
        lr = args.lr * min(1, (step + 1) / 200) * clock.decay()
        optimiser.rate(lr)
        if step % args.renew_every == 0:
            pool.renew()
        latents, captions = pool.batch(args.batch, rng)
        captions = ["" if rng.random() < DROP else caption for caption in captions]
        loss = velocity_loss(compiled, latents, words(captions), args.time_mean, ids)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        step += 1
        follow(average, model, min(EMA, (step - first) / (step - first + 50)))
        seen.append(loss.item())
        if step % 50 == 0:
            rate = (step - first) * args.batch / (time.monotonic() - begun)
            print(f"flow step {step} loss {np.mean(seen[-50:]):.4f} {rate:.0f} samples/s {clock}", flush=True)
        if step % args.save_every == 0:
            _save(args, model, average, optimiser, step, pool)
    _save(args, model, average, optimiser, step, pool)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the running average towards the model."""
    own, new = list(average.state_dict().values()), list(model.state_dict().values())
    floats = [(a, b) for a, b in zip(own, new, strict=True) if a.is_floating_point()]
    torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)


def _save(args, model, average, optimiser, step, pool) -> None:
    save(args.out / "flow.pt", model, optimiser, step, average=average.state_dict(),
         config={"num_layers": args.double, "num_single_layers": args.single},
         shift=pool.shift, scale=pool.scale)  # fmt: skip


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--double", type=int, default=2)
    parser.add_argument("--single", type=int, default=8)
    parser.add_argument("--time-mean", type=float, default=1.0)
    parser.add_argument("--styles", nargs="+", choices=tuple(STYLES), default=list(STYLES))
    parser.add_argument("--pool", type=int, default=16_000)
    parser.add_argument("--renew-every", type=int, default=40)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--begin", type=Path, help="checkpoint whose weights a new run takes up")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    args = parser.parse_args()
    train(args)


if __name__ == "__main__":
    main()
