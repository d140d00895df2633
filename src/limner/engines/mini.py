"""limner-mini, the embedded model: ONNX graphs run by onnxruntime, the sampler in numpy, no torch.

A prompt is read into a scene (`mini_prompt.py`), and the model sees the scene's caption. Given the same caption and the
same latents to start from, `diffusers.FluxPipeline` draws the same picture from training/checkpoint within 2/255.
Requests that come at the same time share each denoising step (`mini_batch.py`).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from limner.engines.mini_batch import MOST, Batch, Report
from limner.engines.mini_edit import Edit, canvas_of, crop, free_cells, skipped_steps, square_of
from limner.engines.mini_graphs import ENCODER, Graphs
from limner.engines.mini_matte import cut_out, cut_out_of_edit
from limner.engines.mini_prompt import Reader
from limner.engines.mini_sampler import Sample, advance, noise_of, pack, sigmas_of
from limner.errors import NotReadyError
from limner.types import RAW_RGB, RAW_RGBA, Event, Image, ImageRequest, ModelCard, Preview, Progress, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ABOUT = (
    "A small model of our own, made for this package: a miniature of FLUX.1's architecture that draws some 280 "
    "everyday things in the manner of emoji, one to three of them, on white, on a coloured ground or in a plain place. "
    "It reads ten languages; what it does not know it takes for the nearest thing that it knows, and revised_prompt "
    "says what it understood. It draws at 256x256; any other size is that picture resampled, with its ground carried "
    "on to the edges. A transparent background is derived: what is of the ground's colour and touches the border is "
    "taken away. It is not FLUX."
)
EDITING = ("edit", "mask", "vary")


class MiniEngine:
    """Draws with the weights in `limner/mini`. `threads`: cores to use, None for all of them."""

    def __init__(self, threads: int | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        self._graphs = Graphs(threads)
        self._reader = Reader()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="limner-mini")
        self._batch: Batch | None = None

    def cards(self) -> Sequence[ModelCard]:
        facts = self._graphs.facts
        return [
            ModelCard(
                id="limner-mini",
                title="limner-mini",
                licence="Apache-2.0",
                about=ABOUT,
                created=facts["created"],
                owned_by="limner",
                native=Size(width=facts["native"], height=facts["native"]),
                min_side=64,
                max_side=2048,
                quality_steps=MappingProxyType(facts["quality_steps"]),
                default_guidance=facts["guidance"],
                max_guidance=20.0,
                abilities=("generate", "preview", "transparent", *(EDITING if ENCODER in facts["files"] else ())),
                weights=facts["weights"],
                concurrency=MOST,
                warm_up=True,
            )
        ]

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().run_in_executor(self._worker, self._graphs.load)
        self._batch = Batch(lambda samples: self.advance(samples), self._worker)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._batch is not None:
            await self._batch.close()
        self._worker.shutdown()
        self._graphs.close()

    async def generate(self, request: ImageRequest) -> AsyncGenerator[Event, None]:
        if self._batch is None:
            raise NotReadyError("limner-mini is not loaded yet; try again in a moment.", retry_after=1)
        loop = asyncio.get_running_loop()
        samples, report = await loop.run_in_executor(self._worker, self._begin, request)
        drawing = self._batch.draw(samples, report)
        try:
            async for event in drawing:
                yield event
        finally:
            await drawing.aclose()

    def advance(self, samples: Sequence[Sample]) -> None:
        """Take each sample one denoising step further, together."""
        advance(samples, self._graphs)

    def understood(self, prompt: str) -> tuple[str, str]:
        """What a prompt is taken for: in words for people, and as the caption that the model sees."""
        scene = self._reader.read(prompt)
        return (self._reader.spoken(scene), scene.caption()) if scene else (prompt, prompt)

    def noise(self, seed: int) -> "NDArray[np.float32]":
        """Latents to start from, (1, N, C)."""
        return noise_of(seed, self._graphs.side**2, 4 * self._graphs.facts["latent_channels"])

    def _begin(self, request: ImageRequest) -> tuple[list[Sample], Report]:
        edit = self._edit(request) if request.images else None
        said, caption = self.understood(request.prompt) if request.prompt.strip() else ("", "")
        _, negative = self.understood(request.negative_prompt) if request.negative_prompt.strip() else ("", "")
        towards, away = self._graphs.embed([caption, negative])
        sigmas = sigmas_of(request.num_inference_steps, self._graphs.facts["shift"])
        first = edit.skipped if edit else 0
        samples: list[Sample] = []
        for index in range(request.n):
            noise = self.noise(request.seed_of(index))
            latents = edit.begin(noise, sigmas[first]) if edit else noise
            samples.append(
                Sample(
                    index=index,
                    noise=noise,
                    latents=latents,
                    before=latents,
                    sigmas=sigmas,
                    at=first,
                    towards=towards,
                    away=away if request.guidance_scale != 1.0 else None,
                    guidance=request.guidance_scale,
                    edit=edit,
                )
            )
        return samples, self._report(request, said, total=request.n * (request.num_inference_steps - first))

    def _report(self, request: ImageRequest, said: str, *, total: int) -> Report:
        finished = 0
        picture = partial(self._picture, request=request, said=said)

        def report(sample: Sample) -> list[Event]:
            nonlocal finished
            finished += 1
            events: list[Event] = [Progress(step=finished, total=total)]
            if sample.done:
                events.append(picture(sample.latents, sample))
            elif sample.at in request.preview_steps():
                events.append(Preview(image=picture(sample.estimate(), sample)))
            return events

        return report

    def _picture(self, latents: "NDArray[np.float32]", sample: Sample, *, request: ImageRequest, said: str) -> Image:
        drawn = self._graphs.draw(latents)
        clear = request.background == "transparent"
        if sample.edit:
            pixels = cut_out_of_edit(sample.edit, drawn, request) if clear else sample.edit.finish(drawn)
        else:
            pixels = fit(cut_out(drawn) if clear else drawn, request.width, request.height)
        return Image(
            data=pixels,
            mime=RAW_RGBA if clear else RAW_RGB,
            width=request.width,
            height=request.height,
            seed=request.seed_of(sample.index),
            index=sample.index,
            prompt=said,
        )

    def _edit(self, request: ImageRequest) -> Edit:
        import numpy as np
        import PIL.Image

        facts = self._graphs.facts
        native, channels = facts["native"], facts["latent_channels"]
        canvas, repaint = canvas_of(request)
        square = square_of(repaint)
        seen = PIL.Image.fromarray(crop(canvas, square)).resize((native, native), PIL.Image.Resampling.LANCZOS)
        known = self._graphs.see(np.asarray(seen))
        free = free_cells(crop(repaint, square), known.shape[-1])
        sigmas = sigmas_of(request.num_inference_steps, facts["shift"])
        return Edit(
            canvas=canvas,
            repaint=repaint,
            square=square,
            known=pack(known),
            free=pack(np.broadcast_to(free, (1, channels, *free.shape))),
            skipped=skipped_steps(sigmas, request.strength, float(facts["shift"])),
        )


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
