"""limner-mini, the embedded model: ONNX graphs run by onnxruntime, the sampler in numpy, no torch.

The sampler is FLUX's: rectified flow by Euler steps over shifted times (diffusers' FlowMatchEulerDiscreteScheduler
with a fixed shift), with classifier-free guidance as `true_cfg_scale`. Given the same latents to start from,
`diffusers.FluxPipeline` draws the same picture from training/checkpoint within 2/255.

Shapes: N = rows * columns image tokens, C = 128 packed latent channels, S = padded text length.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from limner.engine import from_blocking
from limner.engines.mini_edit import Edit, canvas_of, crop, free_cells, skipped_steps, square_of
from limner.engines.mini_matte import cut_out, cut_out_of_edit
from limner.errors import EngineError
from limner.types import RAW_RGB, RAW_RGBA, Event, Image, ImageRequest, ModelCard, Preview, Progress, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABOUT = (
    "A small model of our own, made for this package: a miniature of FLUX.1's architecture that draws some 280 "
    "everyday things in the manner of emoji, on white or on a coloured ground. It knows English words. It draws at "
    "256x256; any other size is that picture resampled, with its ground carried on to the edges. A transparent "
    "background is derived: what is of the ground's colour and touches the border is taken away. It is not FLUX."
)
END, START, PAD = 1, 2, 0
# Reads pictures; loaded with the first edit, and absent from the first weights.
ENCODER = "encoder.onnx"
EDITING = ("edit", "mask", "vary")


class MiniEngine:
    """Draws with the weights in `limner/mini`. `threads`: cores to use, None for all of them."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        self._facts: dict[str, Any] = json.loads((files("limner") / "mini" / "card.json").read_text())
        self._graphs: dict[str, Any] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="limner-mini")

    def cards(self) -> Sequence[ModelCard]:
        side = self._facts["native"]
        return [
            ModelCard(
                id="limner-mini",
                title="limner-mini",
                licence="Apache-2.0",
                about=ABOUT,
                created=self._facts["created"],
                owned_by="limner",
                native=Size(width=side, height=side),
                min_side=64,
                max_side=2048,
                quality_steps=MappingProxyType({"low": 8, "medium": 16, "high": 28}),
                default_guidance=3.0,
                max_guidance=20.0,
                abilities=("generate", "preview", "transparent", *(EDITING if ENCODER in self._facts["files"] else ())),
                weights=self._facts["weights"],
            )
        ]

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._worker.shutdown()
        self._graphs.clear()

    def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        return from_blocking(lambda: self._draw(request), self._worker)

    def _load(self) -> None:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
        from tokenizers import Tokenizer

        # It ships no types.
        ort: Any = onnxruntime
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads or 0
        # Spinning workers would burn a core between steps while the encoder and the server want it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3

        # From bytes, never a path: no external data file can be pulled in.
        def session(name: str) -> Any:
            return ort.InferenceSession(self._file(name), options, providers=["CPUExecutionProvider"])

        self._open = session
        for name in self._facts["files"]:
            if name == "tokenizer.json":
                self._tokenizer: Tokenizer = Tokenizer.from_str(self._file(name).decode())
            elif name != ENCODER:
                self._graphs[name] = self._open(name)

    def _file(self, name: str) -> bytes:
        data = (files("limner") / "mini" / name).read_bytes()
        if hashlib.sha256(data).hexdigest() != self._facts["files"][name]:
            raise EngineError(f"The weights file {name} is damaged; install limner again.")
        return data

    def _draw(self, request: ImageRequest) -> Iterator[Event]:
        edit = self._edit(request) if request.images else None
        skipped = edit.skipped if edit else 0
        taken = request.num_inference_steps - skipped
        text, pooled = self._encode([request.prompt, request.negative_prompt])
        sigmas = self.sigmas(request.num_inference_steps)
        for index in range(request.n):
            noise = self.noise(request.seed_of(index))
            latents = edit.begin(noise, sigmas[skipped]) if edit else noise
            for step, now in enumerate(self.sample(noise, text, pooled, request, edit), 1):
                before, latents = latents, now
                yield Progress(step=index * taken + step, total=request.n * taken)
                if skipped + step in request.preview_steps():
                    seen = estimate(before, now, *sigmas[skipped + step - 1 : skipped + step + 1])
                    yield Preview(image=self._picture(seen, request, index, edit))
            yield self._picture(latents, request, index, edit)

    def _edit(self, request: ImageRequest) -> Edit:
        import numpy as np
        import PIL.Image

        if ENCODER not in self._graphs:
            self._graphs[ENCODER] = self._open(ENCODER)
        native, channels = self._facts["native"], self._facts["latent_channels"]
        canvas, repaint = canvas_of(request)
        square = square_of(repaint)
        seen = PIL.Image.fromarray(crop(canvas, square)).resize((native, native), PIL.Image.Resampling.LANCZOS)
        (known,) = self._graphs[ENCODER].run(None, {"pixels": np.asarray(seen)[None]})
        free = free_cells(crop(repaint, square), known.shape[-1])
        return Edit(
            canvas=canvas,
            repaint=repaint,
            square=square,
            known=pack(known),
            free=pack(np.broadcast_to(free, (1, channels, *free.shape))),
            skipped=skipped_steps(
                self.sigmas(request.num_inference_steps), request.strength, float(self._facts["shift"])
            ),
        )

    def _picture(
        self, latents: "NDArray[np.float32]", request: ImageRequest, index: int, edit: Edit | None = None
    ) -> Image:
        drawn = self.decode(latents)
        clear = request.background == "transparent"
        if edit:
            pixels = cut_out_of_edit(edit, drawn, request) if clear else edit.finish(drawn)
        else:
            pixels = fit(cut_out(drawn) if clear else drawn, request.width, request.height)
        size = {"width": request.width, "height": request.height}
        return Image(data=pixels, mime=RAW_RGBA if clear else RAW_RGB, **size, seed=request.seed_of(index), index=index)

    def noise(self, seed: int) -> "NDArray[np.float32]":
        """Latents to start from, (1, N, C). The legacy generator's stream is frozen by NEP 19, so seeds keep."""
        import numpy as np

        side = self._facts["native"] // self._facts["pixels_per_token"]
        shape = (1, side * side, 4 * self._facts["latent_channels"])
        return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)

    def sigmas(self, steps: int) -> "NDArray[np.float32]":
        """Noise levels from 1 down to 0, steps + 1 of them, shifted as in arXiv:2403.03206 section 5.3.2."""
        import numpy as np

        plain = np.linspace(1.0, 1 / steps, steps, dtype=np.float64).astype(np.float32)
        shift = np.float32(self._facts["shift"])
        return np.append(shift * plain / (1 + (shift - 1) * plain), np.float32(0)).astype(np.float32)

    def sample(
        self,
        latents: "NDArray[np.float32]",
        text: "NDArray[np.float32]",
        pooled: "NDArray[np.float32]",
        request: ImageRequest,
        edit: Edit | None = None,
    ) -> Iterator["NDArray[np.float32]"]:
        """Yield the latents (1, N, C) after each step. `text` (2, S, joint) and `pooled` hold prompt, then negative."""
        import numpy as np

        noise = latents

        guided = request.guidance_scale != 1.0
        both = 2 if guided else 1
        inputs = {"text": text[:both], "pooled": pooled[:both], "ids": self._places(text.shape[1])}
        sigmas = self.sigmas(request.num_inference_steps)
        if edit:
            sigmas = sigmas[edit.skipped :]
            latents = edit.begin(noise, sigmas[0])
        for now, after in pairwise(sigmas):
            inputs |= {"latents": latents.repeat(both, 0), "t": np.full(both, now, np.float32)}
            (velocity,) = self._graphs["flux.onnx"].run(None, inputs)
            towards = velocity[:1]
            if guided:
                towards = velocity[1:] + np.float32(request.guidance_scale) * (velocity[:1] - velocity[1:])
            latents = latents + (after - now) * towards
            if edit:
                latents = edit.held(latents, noise, after)
            yield latents

    def decode(self, latents: "NDArray[np.float32]") -> "NDArray[np.uint8]":
        """Packed latents (1, N, C) to pixels (H, W, 3)."""
        side = self._facts["native"] // self._facts["pixels_per_token"]
        channels = self._facts["latent_channels"]
        grid = latents.reshape(1, side, side, channels, 2, 2).transpose(0, 3, 1, 4, 2, 5)
        (pixels,) = self._graphs["decoder.onnx"].run(None, {"latents": grid.reshape(1, channels, 2 * side, 2 * side)})
        return pixels[0]

    def _encode(self, prompts: Sequence[str]) -> tuple["NDArray[np.float32]", "NDArray[np.float32]"]:
        """Text (P, S, joint) and pooled (P, joint), both prompts padded to one of the trained lengths."""
        import numpy as np

        tokens = [self._tokenizer.encode(prompt, add_special_tokens=False).ids for prompt in prompts]
        short, long = self._facts["lengths"]
        length = short if max(map(len, tokens)) < short else long
        t5_ids = np.full((len(tokens), length), PAD, np.int64)
        clip_ids = np.full((len(tokens), long), PAD, np.int64)
        for row, ids in enumerate(tokens):
            whole = [*ids[: length - 1], END]
            t5_ids[row, : len(whole)] = whole
            whole = [START, *ids[: long - 2], END]
            clip_ids[row, : len(whole)] = whole
        text, pooled = self._graphs["text.onnx"].run(None, {"t5_ids": t5_ids, "clip_ids": clip_ids})
        return text, pooled

    def _places(self, words: int) -> "NDArray[np.float32]":
        """Rotary positions (S + N, 3): text at the origin, image tokens at (0, row, column)."""
        import numpy as np

        side = int(self._facts["native"] // self._facts["pixels_per_token"])
        ids = np.zeros((words + side * side, 3), np.float32)
        ids[words:, 1] = np.repeat(np.arange(side), side)
        ids[words:, 2] = np.tile(np.arange(side), side)
        return ids


def pack(latents: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """(1, C, h, w) to FLUX's tokens of 2x2 cells, (1, h * w / 4, 4 * C)."""
    channels, height, width = latents.shape[1:]
    grid = latents.reshape(1, channels, height // 2, 2, width // 2, 2).transpose(0, 2, 4, 1, 3, 5)
    return grid.reshape(1, height * width // 4, 4 * channels)


def estimate(
    before: "NDArray[np.float32]", after: "NDArray[np.float32]", sigma: "np.float32", next_sigma: "np.float32"
) -> "NDArray[np.float32]":
    """The finished latents as they look after the step from `sigma` to `next_sigma`: straight on along its velocity."""
    import numpy as np

    velocity = (after - before) / (next_sigma - sigma)
    return np.asarray(after - next_sigma * velocity, np.float32)


def fit(pixels: "NDArray[np.uint8]", width: int, height: int) -> bytes:
    """Rows of the picture (h, w, 3 or 4) resampled to the shorter side, its edges carried on to fill the longer one."""
    import numpy as np
    import PIL.Image

    side = min(width, height)
    if pixels.shape[:2] != (side, side):
        picture = PIL.Image.fromarray(pixels).resize((side, side), PIL.Image.Resampling.LANCZOS)
        pixels = np.asarray(picture)
    if width != height:
        # The outermost pixels that the decoder draws are off colour; what is carried on lies a little inside.
        rim = max(1, side // 64)
        left, top = (width - side) // 2 + rim, (height - side) // 2 + rim
        inner = side - 2 * rim
        around = ((top, height - inner - top), (left, width - inner - left), (0, 0))
        pixels = np.pad(pixels[rim:-rim, rim:-rim], around, mode="edge")
    return pixels.tobytes()
