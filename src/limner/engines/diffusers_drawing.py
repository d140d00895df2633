"""One batch of pictures through a diffusers pipeline: its arguments, its steps as events, its pixels as pictures.

Shapes: B pictures of a batch; latents as the pipeline has them, (B, ...); pixels (3, H, W) in 0..1.
"""

import functools
import importlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

from limner.engines.diffusers_canvas import cut, grown, kept, reference
from limner.engines.diffusers_family import NOISE_SCHEDULERS, Family
from limner.engines.diffusers_line import COMPANY_WAITS, Cancelled, Row, seats_of
from limner.engines.diffusers_loras import Loras
from limner.engines.diffusers_memory import MemoryGuard
from limner.engines.diffusers_parts import Parts
from limner.engines.diffusers_preview import Previewer, as_bytes
from limner.engines.diffusers_prompts import PromptCache
from limner.engines.diffusers_speed import Tuner
from limner.engines.mini_edit import canvas_of
from limner.errors import InvalidRequestError
from limner.types import RAW_RGB, Event, Image, ImageRequest, Preview, Progress

# True classifier-free guidance where a model has its guidance built in and a negative prompt asks for more.
NEGATIVE_SCALE = 2.0
# Schedulers whose step goes straight along the velocity.
EULER = ("FlowMatchEulerDiscreteScheduler", "EulerDiscreteScheduler")


class Drawer:
    """Draws batches, one at a time, on one thread."""

    def __init__(
        self, parts: Parts, loras: Loras, *, noise: str = "torch", lengths: Sequence[int] = (), speed: str = "auto"
    ) -> None:
        """`noise`: "numpy" starts from RandomState's normal numbers, as limner-mini does. `lengths`: see `_length`.

        `speed`: "measured" looks for faster forms of the model when idle, "eager" does not, "auto" does on a GPU.
        """
        self._parts = parts
        self._loras = loras
        self._noise = noise
        self._lengths = tuple(sorted(lengths))
        self._previews = Previewer(parts)
        self._prompts = PromptCache()
        self._guard = MemoryGuard(parts.device)
        wanted = speed == "measured" or (speed == "auto" and parts.device.startswith("cuda"))
        # What moves between two memories is not timed by its arithmetic.
        self.tuner = Tuner(parts.model, parts.device) if wanted and parts.offload == "none" else None

    def draw(self, rows: Sequence[Row]) -> None:
        """Draw them all and give their seats the events.

        Raises:
            Cancelled: everyone has left.
            InvalidRequestError: this model or this machine cannot do it.
        """
        torch: Any = importlib.import_module("torch")
        request = rows[0].request
        task = task_of(request, self._parts)
        width, height = (
            -(-side // self._parts.multiple) * self._parts.multiple for side in (request.width, request.height)
        )
        self._guard.check(width, height, len(rows))
        pipeline = self._parts.pipeline(task)
        if request.loras and self.tuner:
            self.tuner.stop()
        self._loras.use(request.loras)
        pipeline.scheduler = scheduler = self._parts.scheduler(request.scheduler)
        self._parts.tile(width * height)
        steps = _Steps(rows, scheduler, self, width, height)
        wishes: dict[str, Any] = {
            "prompt": [row.request.prompt for row in rows],
            "width": width,
            "height": height,
            "num_inference_steps": request.num_inference_steps,
            "generator": [torch.Generator("cpu").manual_seed(row.seed) for row in rows],
            "output_type": "pt",
            "callback_on_step_end": steps.ended,
            "callback_on_step_end_tensor_inputs": ["latents"],
            "max_area": width * height,
            # SANA-Sprint's; its default is for two steps, and an error for any other count.
            "intermediate_timesteps": 1.3 if request.num_inference_steps == 2 else None,
            **self._guidance(pipeline, rows),
            **self._pictures(request, task, width, height),
            **self._length(pipeline, rows),
            **self._parts.family.always,
        }
        if self._noise == "numpy" and task == "generate":
            wishes["latents"] = self._numpy_noise(rows, width, height)
        taken = inspect.signature(type(pipeline).__call__).parameters
        with (
            torch.inference_mode(),
            self._prompts.of(pipeline, request.loras),
            self._guard.watch(width, height, len(rows)),
        ):
            drawn = pipeline(**{name: value for name, value in wishes.items() if name in taken})
            self._finish(rows, drawn[0])

    def idle(self) -> bool:
        """Use the device's free time; whether there was anything to do."""
        return self.tuner is not None and self.tuner.idle()

    def preview(self, latents: Any, row: Row, width: int, height: int) -> Preview:
        """The picture of `row` from its latents, at the request's size."""
        import PIL.Image

        seen = PIL.Image.fromarray(self._previews.pixels(latents, width, height).numpy())
        request = row.request
        if seen.size != (width, height):
            seen = seen.resize((width, height), PIL.Image.Resampling.BILINEAR)
        return Preview(image=_picture(row, cut(seen, request).tobytes()))

    def _finish(self, rows: Sequence[Row], pixels: Any) -> None:
        import PIL.Image

        for at, row in enumerate(rows):
            picture = cut(PIL.Image.fromarray(as_bytes(pixels[at]).numpy()), row.request)
            if row.request.mask:
                picture = kept(picture, row.request)
            row.seat.give([_picture(row, picture.tobytes())])

    def _guidance(self, pipeline: Any, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Guidance as the class spells it: built into the model, or true and with a negative prompt."""
        scale = rows[0].request.guidance_scale
        negative = [row.request.negative_prompt for row in rows]
        taken = inspect.signature(type(pipeline).__call__).parameters
        if any(negative) and "negative_prompt" not in taken:
            raise InvalidRequestError(
                "This model takes no negative_prompt; say in the prompt what you want instead.",
                param="negative_prompt",
                code="unsupported",
            )
        if "true_cfg_scale" not in taken:
            return {"guidance_scale": scale, **({"negative_prompt": negative} if scale > 1 else {})}
        if getattr(self._parts.model.config, "guidance_embeds", False):
            more = {"true_cfg_scale": NEGATIVE_SCALE, "negative_prompt": negative} if any(negative) else {}
            return {"guidance_scale": scale, "true_cfg_scale": 1.0, **more}
        return {"true_cfg_scale": scale, **({"negative_prompt": negative} if scale > 1 else {})}

    def _pictures(self, request: ImageRequest, task: str, width: int, height: int) -> Mapping[str, Any]:
        """What an edit starts from, at the size that is drawn."""
        if task == "generate":
            return {}
        import PIL.Image

        if task == "edit":
            found = [
                reference(source, self._parts.family) for source in request.images[: self._parts.family.references]
            ]
            return {"image": found if len(found) > 1 or self._parts.family.references > 1 else found[0]}
        page, repaint = canvas_of(request)
        canvas = grown(PIL.Image.fromarray(page), width, height)
        strength = strength_of(request, self._parts.family)
        if task == "vary":
            return {"image": [canvas], "strength": strength}
        mask = PIL.Image.fromarray((repaint[:, :, 0] * 255).astype("uint8"))
        return {"image": canvas, "mask_image": grown(mask, width, height), "strength": strength}

    def _length(self, pipeline: Any, rows: Sequence[Row]) -> Mapping[str, Any]:
        """Tokens that prompts are padded to: the least of `lengths` that holds them, where a model has such."""
        if not self._lengths:
            return {}
        tokenizer = getattr(pipeline, "tokenizer_2", None) or pipeline.tokenizer
        texts = [text for row in rows for text in (row.request.prompt, row.request.negative_prompt)]
        longest = max(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
        return {"max_sequence_length": next((n for n in self._lengths if longest < n), self._lengths[-1])}

    def _numpy_noise(self, rows: Sequence[Row], width: int, height: int) -> Any:
        import numpy as np

        torch: Any = importlib.import_module("torch")
        shape = (
            1,
            (width // self._parts.multiple) * (height // self._parts.multiple),
            self._parts.model.config.in_channels,
        )
        drawn = [np.random.RandomState(row.seed).standard_normal(shape).astype(np.float32) for row in rows]
        return torch.from_numpy(np.concatenate(drawn)).to(self._parts.device, self._parts.base.dtype)


class _Steps:
    """The steps of one batch."""

    def __init__(self, rows: Sequence[Row], scheduler: Any, drawer: Drawer, width: int, height: int) -> None:
        self._rows = rows
        self._seats = seats_of(rows)
        self._scheduler = scheduler
        self._drawer = drawer
        self._size = (width, height)
        self._sample: Any = None
        step = scheduler.step

        # Wrapped: pipelines look whether its signature takes the generator that makes noise repeatable.
        @functools.wraps(step)
        def noted(model_output: Any, timestep: Any, sample: Any, *more: Any, **options: Any) -> Any:
            self._sample = sample
            return step(model_output, timestep, sample, *more, **options)

        scheduler.step = noted

    def ended(self, pipeline: Any, number: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline after step `number`, from 0: tell everyone, wait until they have read it."""
        steps = int(pipeline.num_timesteps)
        skipped = self._rows[0].request.num_inference_steps - steps
        latents = tensors["latents"]
        for seat in self._seats:
            if seat.cancelled:
                continue
            events: list[Event] = []
            for at, row in ((at, row) for at, row in enumerate(self._rows) if row.seat is seat):
                seat.stepped += 1
                events.append(Progress(step=seat.stepped, total=seat.request.n * steps))
                if skipped + number + 1 in seat.request.preview_steps():
                    events.append(self._drawer.preview(self._estimate(latents, number)[at], row, *self._size))
            seat.give(events)
        for seat in self._seats:
            seat.wait(COMPANY_WAITS if len(self._seats) > 1 else None)
        if all(seat.cancelled for seat in self._seats):
            raise Cancelled
        for seat in self._seats:
            if seat.cancelled:
                seat.end_soon()
        return {}

    def _estimate(self, latents: Any, number: int) -> Any:
        """The latents as they would be at the end, straight on along this step; after other schedulers as they are."""
        if type(self._scheduler).__name__ not in EULER or self._sample is None:
            return latents
        at = int(self._scheduler.step_index) - 1
        now, after = (float(sigma) for sigma in self._scheduler.sigmas[at : at + 2])
        before = self._sample.to(latents.dtype)
        return latents - after * (latents - before) / (after - now)


def task_of(request: ImageRequest, parts: Parts) -> str:
    """generate, vary, fill or edit. Raises InvalidRequestError where the model has no way."""
    family = parts.family
    if not request.images:
        return "generate"
    order = ("fill", "edit", "vary") if request.mask else ("edit", "vary")
    task = next((task for task in order if getattr(family, task)), None)
    if task is None:
        needs = "needs a mask beside the picture" if family.fill else "takes no pictures"
        raise InvalidRequestError(f"{request.model} {needs}.", param="mask" if family.fill else "image")
    return task


def strength_of(request: ImageRequest, family: Family) -> float:
    """The strength that makes diffusers take the steps that the request means.

    It rounds steps by strength up for flows and down for others, so with few steps a strength of 0.8 would take all of
    them, begin with nothing but noise, and never see the picture; and a small one would take none, which is an error.

    Raises:
        InvalidRequestError: there is one step only.
    """
    steps = request.num_inference_steps
    if steps == 1 and request.strength < 1:
        raise InvalidRequestError(
            "strength below 1 needs two steps at least: with one, nothing of the picture would be left to see.",
            param="num_inference_steps",
        )
    taken = max(1, math.ceil(steps * request.strength - 1e-6))
    if request.strength < 1 and taken == steps:
        taken = steps - 1
    if taken == steps:
        return 1.0
    return (taken + (0.5 if family.schedulers is NOISE_SCHEDULERS else -0.5)) / steps


def _picture(row: Row, data: bytes) -> Image:
    width, height = row.request.width, row.request.height
    return Image(data=data, mime=RAW_RGB, width=width, height=height, seed=row.seed, index=row.index)
