"""What every trainer shares: options, resumable checkpoints and a clock that plans by minutes."""

import argparse
import os
import time
from pathlib import Path

import torch


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser of the options that every stage has: where the drawings and the runs lie."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=here / "node_modules")
    parser.add_argument("--cache", type=Path, default=here / "cache")
    parser.add_argument("--out", type=Path, default=here / "runs/first")
    return parser


def has_half(device: str) -> bool:
    """Whether the device computes in bfloat16; an older processor only imitates it, fifty times slower."""
    return device != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)


def half(device: str) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=has_half(device))


class Clock:
    """A training budget in minutes. The learning rate falls linearly to zero over the last `tail` share of it."""

    def __init__(self, minutes: float, tail: float = 0.35):
        self.start = time.monotonic()
        self.seconds = minutes * 60
        self.tail = tail

    def share(self) -> float:
        return (time.monotonic() - self.start) / self.seconds

    def done(self) -> bool:
        return self.share() >= 1

    def decay(self) -> float:
        return max(0.02, min(1.0, (1 - self.share()) / self.tail))

    def __str__(self) -> str:
        return f"at {self.share() * self.seconds / 60:.1f} min"


def save(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer | None, step: int, **extra) -> None:
    """Written beside and renamed, so that a stop in the middle leaves the last good one."""
    state = {"model": model.state_dict(), "optimiser": optimiser and optimiser.state_dict(), "step": step, **extra}
    torch.save(state, path.with_suffix(".new"))
    os.replace(path.with_suffix(".new"), path)


def load(path: Path, model: torch.nn.Module, optimiser: torch.optim.Optimizer | None = None) -> int:
    """The step that the checkpoint had reached; 0 when there is none to resume."""
    if not path.exists():
        if optimiser is None:
            raise FileNotFoundError(f"{path}: train that stage first")
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    if optimiser is not None and state["optimiser"]:
        optimiser.load_state_dict(state["optimiser"])
    return state["step"]
