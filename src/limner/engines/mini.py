"""limner-mini, the embedded model: ONNX graphs run by onnxruntime, the sampler in numpy, no torch.

A prompt is read into a scene (`mini_prompt.py`), and the model sees the scene's caption. Given the same caption and the
same latents to start from, `diffusers.FluxPipeline` draws the same picture from training/checkpoint within 2/255.
Requests that come at the same time share each denoising step (`mini_batch.py`).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from limner.engines.mini_batch import MOST, Batch
from limner.engines.mini_drawing import Drawing
from limner.engines.mini_edit import Edit, canvas_of, crop, free_cells, skipped_steps, square_of
from limner.engines.mini_graphs import ENCODER, Graphs
from limner.engines.mini_layout import composed, parts
from limner.engines.mini_patch import Patch, patch_of
from limner.engines.mini_prompt import Reader
from limner.engines.mini_sampler import Sample, advance, noise_of, pack, sigmas_of
from limner.engines.mini_scene import FLAT, Scene
from limner.errors import NotReadyError
from limner.types import MAX_SEED, Event, ImageRequest, ModelCard, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from limner.engines.mini_graphs import Embedding

ABOUT = (
    "A small model of our own, made for this package: a miniature of FLUX.1's architecture that draws some 1,650 "
    "everyday things in the manner of emoji: flat, in 3D or as a cartoon. Several things, and things on a ground or in "
    "a place, are drawn one by one and laid out. "
    "It reads ten languages; what it does not know it takes for the nearest thing that it knows, and revised_prompt "
    "says what it understood. It draws each thing at 256x256; a second small network draws larger pictures of that. "
    "A transparent background is derived: what is of the ground's colour and touches the border is "
    "taken away. It is not FLUX."
)
EDITING = ("edit", "mask", "vary")
# From the seed of a picture to that of its next thing, where its things are drawn one by one; a prime.
NEXT_PART = 7919
# The bit of a thing's seed that says which way it looks.
MIRROR = 2


class MiniEngine:
    """Draws with the weights in `limner/mini`. `threads`: cores to use, None for all of them."""

    def __init__(self, threads: int | None = None) -> None:
        threads = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
        self._graphs = Graphs(threads)
        self._reader = Reader()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="limner-mini")
        self._batch: Batch | None = None
        self._loading: Future[None] | None = None

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

    def preload(self) -> None:
        """Begin to load, on the engine's own thread, while the program still imports what it needs."""
        self._loading = self._loading or self._worker.submit(self._graphs.load)

    async def __aenter__(self) -> Self:
        self.preload()
        assert self._loading is not None
        await asyncio.wrap_future(self._loading)
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
        samples, drawing = await loop.run_in_executor(self._worker, self._begin, request)
        events = self._batch.draw(samples, drawing.report)
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def advance(self, samples: Sequence[Sample]) -> None:
        """Take each sample one denoising step further, together."""
        advance(samples, self._graphs)

    @property
    def drawn(self) -> int:
        """Pixels a side of what the transformer and the decoder draw; a second network makes larger pictures of it."""
        return int(self._graphs.facts["drawn"])

    def understood(self, prompt: str, seed: int) -> tuple[str, str]:
        """What a prompt is taken for: in words for people, and as the model's caption of the whole scene."""
        scene = self._reader.read(prompt)
        if scene is None:
            return prompt, prompt
        scene = self._styled(scene, seed)
        return self._reader.spoken(scene), scene.caption()

    def _styled(self, scene: Scene, seed: int) -> Scene:
        """Where the prompt names no manner of drawing the seed chooses, so that seeds side by side differ."""
        if scene.style:
            return scene
        manners: list[str] = self._graphs.facts["seed_styles"]
        return self._reader.styled(scene, manners[seed % len(manners)])

    def _mirrored(self, scene: Scene, seed: int) -> list[bool]:
        """Which of the things look the other way in the picture of this seed."""
        return [
            bool(seed_of_part(seed, part) & MIRROR) and self._reader.mirrored(thing)
            for part, thing in enumerate(scene.each())
        ]

    def noise(self, seed: int) -> "NDArray[np.float32]":
        """Latents to start from, (1, N, C)."""
        return noise_of(seed, self._graphs.side**2, 4 * self._graphs.facts["latent_channels"])

    def _begin(self, request: ImageRequest) -> tuple[list[Sample], Drawing]:
        scene = self._reader.read(request.prompt)
        one_by_one: bool = self._graphs.facts["one_by_one"]
        patch = self._patch(request) if scene and one_by_one else None
        edit = self._edit(request) if request.images and not patch else None
        if scene and patch:
            # What surrounds the patch is its ground.
            scene = replace(scene, ground=None, side=None)
        elif scene and edit and one_by_one:
            # Such weights know one thing in its own colours.
            thing = replace(scene.things[0], count=1, size=None)
            scene = Scene(things=(thing,), ground=scene.ground, style=scene.style)
            edit = replace(edit, colour=thing.colour, ground=scene.ground)
        if scene and (patch or edit):
            # What is drawn into a picture does not change its manner from seed to seed.
            scene = replace(scene, style=scene.style or FLAT)
        apart = scene if one_by_one and not edit else None
        laid_out = apart if apart and (patch or composed(apart)) else None
        styled = [scene and self._styled(scene, request.seed_of(index)) for index in range(request.n)]
        said = [self._reader.spoken(each) if each else request.prompt for each in styled]
        unwanted = self._reader.read(request.negative_prompt) if request.guidance_scale != 1.0 else None
        negative = unwanted.caption() if unwanted else request.negative_prompt
        sigmas = sigmas_of(request.num_inference_steps, self._graphs.facts["shift"])
        pictures = [
            self._picture(request, index, parts(each) if each and one_by_one else [each], negative, sigmas, edit)
            for index, each in enumerate(styled)
        ]
        # What each sample is turned to; None stays as it is drawn.
        tints = [thing.colour for thing in apart.each()] if apart else [None]
        mirrored = [self._mirrored(apart, request.seed_of(index)) if apart else [False] for index in range(request.n)]
        drawing = Drawing(
            request,
            pictures,
            self._graphs,
            said=said,
            tints=tints,
            mirrored=mirrored,
            scene=laid_out,
            edit=edit,
            patch=patch,
        )
        return [sample for samples in pictures for sample in samples], drawing

    def _picture(
        self,
        request: ImageRequest,
        index: int,
        things: Sequence[Scene | None],
        negative: str,
        sigmas: "NDArray[np.float32]",
        edit: Edit | None,
    ) -> list[Sample]:
        """The samples of one picture, one of each of its `things`; None is what no scene was read in."""
        captions = [thing.caption() if thing else request.prompt for thing in things]
        guided = request.guidance_scale != 1.0
        embedded = self._graphs.embed([*captions, negative] if guided else captions)
        away = embedded.pop() if guided else None
        seeds = [seed_of_part(request.seed_of(index), part) for part in range(len(embedded))]
        return [
            self._sample(index, seed, sigmas, towards, away, request.guidance_scale, edit)
            for seed, towards in zip(seeds, embedded, strict=True)
        ]

    def _sample(
        self,
        index: int,
        seed: int,
        sigmas: "NDArray[np.float32]",
        towards: "Embedding",
        away: "Embedding | None",
        guidance: float,
        edit: Edit | None,
    ) -> Sample:
        noise = self.noise(seed)
        first = edit.skipped if edit else 0
        latents = edit.begin(noise, sigmas[first]) if edit else noise
        return Sample(
            index=index,
            noise=noise,
            latents=latents,
            before=latents,
            sigmas=sigmas,
            at=first,
            towards=towards,
            away=away,
            guidance=guidance,
            edit=edit,
        )

    def _patch(self, request: ImageRequest) -> Patch | None:
        """Where a scene is laid into a picture: in what a mask leaves free, if that is to be drawn afresh."""
        afresh = request.mask and request.strength == 1 and len(request.images) == 1
        return patch_of(*canvas_of(request)) if afresh and request.background != "transparent" else None

    def _edit(self, request: ImageRequest) -> Edit:
        import numpy as np
        import PIL.Image

        facts = self._graphs.facts
        drawn, channels = facts["drawn"], facts["latent_channels"]
        canvas, repaint = canvas_of(request)
        square = square_of(repaint)
        seen = PIL.Image.fromarray(crop(canvas, square)).resize((drawn, drawn), PIL.Image.Resampling.LANCZOS)
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


def seed_of_part(seed: int, part: int) -> int:
    """The seed of a picture's thing, of the picture's seed."""
    return (seed + part * NEXT_PART) % (MAX_SEED + 1)
