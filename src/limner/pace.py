"""How long a model's requests take: measured when the server starts, and by every request that it draws."""

import math
from dataclasses import dataclass

from limner.types import ImageRequest

# Seconds of a request of a model of which nothing is known yet.
GUESS = 1.0
# How much the newest measurement counts against all before it.
NEWEST = 0.3


@dataclass(frozen=True, order=True)
class _Kind:
    """What decides about a step's length. Few values each: clients choose them."""

    # Whether it starts from pictures, and whether the transformer runs twice a step.
    edited: bool
    guided: bool
    # Size in half octaves of area: 32 for 256x256, 36 for 512x512, 40 for 1024x1024.
    area: int


@dataclass
class _Spent:
    """Means, in seconds."""

    # A denoising step.
    step: float
    # All else of a picture: the prompt, the decoder, the start.
    rest: float


class Pace:
    """One model's. A size that was never drawn is reckoned from the nearest one that was, larger ones by their area."""

    def __init__(self) -> None:
        self._known: dict[_Kind, _Spent] = {}

    def seconds(self, request: ImageRequest) -> float:
        """What the engine will spend on `request`, alone."""
        if not self._known:
            return GUESS
        wanted = _kind(request)
        nearest = min(self._known, key=lambda kind: _distance(kind, wanted))
        spent = self._known[nearest]
        # Never less for smaller ones: some models draw one size and resample it.
        larger = max(1.0, 2 ** ((wanted.area - nearest.area) / 2))
        return request.n * larger * (spent.rest + _steps(request) * spent.step)

    def learn(self, request: ImageRequest, *, steps: int, stepping: float, whole: float) -> None:
        """Take in what a request took: `steps` in all, `stepping` seconds between the first and the last, `whole`."""
        step = stepping / (steps - 1) if steps > 1 else whole / max(1, steps)
        rest = max(0.0, whole - steps * step) / request.n
        spent = self._known.setdefault(_kind(request), _Spent(step, rest))
        spent.step += NEWEST * (step - spent.step)
        spent.rest += NEWEST * (rest - spent.rest)


def _kind(request: ImageRequest) -> _Kind:
    return _Kind(
        edited=bool(request.images),
        guided=request.guidance_scale != 1.0,
        area=round(2 * math.log2(request.width * request.height)),
    )


def _distance(one: _Kind, other: _Kind) -> tuple[bool, bool, int, int]:
    return one.edited != other.edited, one.guided != other.guided, abs(one.area - other.area), one.area


def _steps(request: ImageRequest) -> float:
    """An edit that keeps much begins late in the schedule."""
    return max(1.0, request.num_inference_steps * (request.strength if request.images else 1.0))
