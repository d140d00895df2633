"""FLUX's sampler: rectified flow by Euler steps over shifted times, for any number of pictures at once.

As diffusers' FlowMatchEulerDiscreteScheduler with a fixed shift, and `true_cfg_scale` for classifier-free guidance.
Every picture has its own noise, schedule, step and guidance, so pictures of different requests share a step.

Shapes: N image tokens, C packed latent channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from limner.engines.mini_edit import Edit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.engines.mini_graphs import Embedding, Graphs


@dataclass(kw_only=True, eq=False)
class Sample:
    """A picture on its way from noise."""

    # Which of its request's pictures it is, 0..n-1.
    index: int
    # What it began as, (1, N, C).
    noise: "NDArray[np.float32]"
    # What it is now, and what it was before the last step, (1, N, C).
    latents: "NDArray[np.float32]"
    before: "NDArray[np.float32]"
    # Noise levels, steps + 1 of them, and which of them `latents` has.
    sigmas: "NDArray[np.float32]"
    at: int
    # The caption's embedding, and the negative one where there is guidance.
    towards: "Embedding"
    away: "Embedding | None"
    guidance: float
    edit: Edit | None

    @property
    def done(self) -> bool:
        """Whether no step is left."""
        return self.at == len(self.sigmas) - 1

    def estimate(self) -> "NDArray[np.float32]":
        """The finished latents as they look from here: straight on along the last velocity."""
        import numpy as np

        sigma, now = self.sigmas[self.at - 1], self.sigmas[self.at]
        velocity = (self.latents - self.before) / (now - sigma)
        return np.asarray(self.latents - now * velocity, np.float32)


def noise_of(seed: int, tokens: int, channels: int) -> "NDArray[np.float32]":
    """Latents to start from, (1, N, C). The legacy generator's stream is frozen by NEP 19, so seeds keep."""
    import numpy as np

    return np.random.RandomState(seed).standard_normal((1, tokens, channels)).astype(np.float32)


def sigmas_of(steps: int, shift: float) -> "NDArray[np.float32]":
    """Noise levels from 1 down to 0, steps + 1 of them, shifted as in arXiv:2403.03206 section 5.3.2."""
    import numpy as np

    plain = np.linspace(1.0, 1 / steps, steps, dtype=np.float64).astype(np.float32)
    factor = np.float32(shift)
    return np.append(factor * plain / (1 + (factor - 1) * plain), np.float32(0)).astype(np.float32)


def advance(samples: Sequence[Sample], graphs: "Graphs") -> None:
    """Take each sample one step further, all in one run of the transformer for each padded length of text.

    The rows of a run do not touch each other, so a picture is the same in any company
    (tests/contracts/test_batching.py holds onnxruntime to that).
    """
    for length in sorted({sample.towards[0].shape[1] for sample in samples}):
        _advance([sample for sample in samples if sample.towards[0].shape[1] == length], graphs)


def _advance(samples: Sequence[Sample], graphs: "Graphs") -> None:
    import numpy as np

    rows = [(sample, sample.towards) for sample in samples]
    rows += [(sample, sample.away) for sample in samples if sample.away is not None]
    times = np.array([sample.sigmas[sample.at] for sample, _ in rows], np.float32)
    velocities = graphs.velocity(
        np.concatenate([sample.latents for sample, _ in rows]),
        times,
        np.concatenate([text for _, (text, _) in rows]),
        np.concatenate([pooled for _, (_, pooled) in rows]),
    )
    away = iter(velocities[len(samples) :])
    for row, sample in enumerate(samples):
        velocity = velocities[row : row + 1]
        if sample.away is not None:
            back = next(away)[None]
            velocity = back + np.float32(sample.guidance) * (velocity - back)
        now, after = sample.sigmas[sample.at], sample.sigmas[sample.at + 1]
        sample.before, sample.latents = sample.latents, sample.latents + (after - now) * velocity
        if sample.edit:
            sample.latents = sample.edit.held(sample.latents, sample.noise, after)
        sample.at += 1


def pack(latents: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """(1, channels, h, w) to FLUX's tokens of 2x2 cells, (1, h * w / 4, 4 * channels)."""
    channels, height, width = latents.shape[1:]
    grid = latents.reshape(1, channels, height // 2, 2, width // 2, 2).transpose(0, 2, 4, 1, 3, 5)
    return grid.reshape(1, height * width // 4, 4 * channels)
