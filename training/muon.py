"""Muon: momentum whose every matrix is brought to singular values near one before it is applied.

What is seldom seen moves as much as what is seen always, which is what a thousand labels of one picture each need
(arXiv:2509.26030). In half precision where the processor has it, as `torch.optim.Muon` always is.
Source: Jordan et al., "Muon" (2024); step size as AdamW's, arXiv:2502.16982 section 2.2.
"""

import torch
from torch import nn

from checkpoint import has_half

# Newton-Schulz of degree five that is near its best at four iterations: arXiv:2505.16932 (Polar Express), table 1.
POLAR = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
)
# Matrices with a side below it are left to AdamW.
LEAST = 128


def orthogonal(x: torch.Tensor) -> torch.Tensor:
    """Matrices (K, m, n) with their singular values brought near one."""
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    kind = x.dtype
    x = x / (x.norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7)
    x = x.bfloat16() if has_half(x.device.type) else x
    for a, b, c in POLAR:
        square = x @ x.mT
        x = a * x + torch.baddbmm(b * square, square, square, alpha=c) @ x
    return (x.mT if tall else x).to(kind)


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions; those of one shape are worked on together."""

    def __init__(self, params, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.01):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for shape, weights in alike.items():
                update = orthogonal(torch.stack([self._pushed(w, group["momentum"]) for w in weights]))
                rate = group["lr"] * 0.2 * max(shape) ** 0.5
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(weights, list(update.unbind()), alpha=-rate)

    def _pushed(self, weight: torch.Tensor, momentum: float) -> torch.Tensor:
        """Nesterov's look ahead of the momentum."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        state["momentum"].lerp_(weight.grad, 1 - momentum)
        return weight.grad.lerp(state["momentum"], momentum)


class Both:
    """Muon for the matrices of a model and AdamW for the rest: tables of tokens, biases, norms, small ones."""

    def __init__(self, muon: Muon, adam: torch.optim.AdamW):
        self.parts = (muon, adam)

    def rate(self, lr: float) -> None:
        """Set the rate of everything."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def optimiser_of(model: nn.Module, lr: float) -> Both:
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    chosen = {id(w): w for w in model.parameters() if w.ndim == 2 and min(w.shape) >= LEAST and id(w) not in tables}
    rest = [w for w in model.parameters() if id(w) not in chosen]
    adam = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    return Both(Muon(list(chosen.values()), lr=lr), adam)
