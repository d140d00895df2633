"""The nouns of Limner: what a model offers, what is wished for, and what comes back.

Standard library only. Every record is frozen and keyword-only. `ModelCard.request` is the one place where a wish
becomes an `ImageRequest`; after it nothing is optional, so no engine has a default of its own.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from limner.errors import InvalidRequestError
from limner.formats import OUTPUT_FORMATS as OUTPUT_FORMATS
from limner.formats import RAW_RGB as RAW_RGB
from limner.formats import RAW_RGBA as RAW_RGBA
from limner.formats import READERS as READERS
from limner.formats import file_of, size_of_ratio
from limner.loras import Lora, style_of
from limner.sources import Source, size_near, start_of
from limner.spelling import check_unicode
from limner.spelling import nearest as nearest

# Seeds fit the 32 bits that every program in this field shows and takes.
MAX_SEED = 2**32 - 1
MAX_PROMPT_CHARACTERS = 32_000
MAX_PREVIEWS = 3

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A denoising step is done."""

    # Steps finished so far, over all pictures of the request, 1..total.
    step: int
    # Steps that the whole request takes.
    total: int


@dataclass(frozen=True, kw_only=True)
class Image:
    """A finished picture."""

    # The encoded file, or raw rows when `mime` is RAW_RGB or RAW_RGBA.
    data: bytes = field(repr=False)
    # MIME type of `data`.
    mime: str
    # Pixels.
    width: int
    # Pixels.
    height: int
    # The seed that makes this very picture again with n = 1.
    seed: int
    # Which of the request's pictures it is, 0..n-1.
    index: int
    # What the model took the prompt for, where it says so; "" where it was taken as it stood.
    prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What the picture looks like so far."""

    image: Image


Event = Progress | Preview | Image


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One fully resolved wish: nothing in it is optional."""

    # Id of the model's card.
    model: str
    # What to draw.
    prompt: str
    # What to keep away from; "" when nothing.
    negative_prompt: str
    # How many pictures, each with the seed `seed + index`.
    n: int
    # Pixels.
    width: int
    # Pixels.
    height: int
    # Denoising steps, each one or two evaluations of the transformer.
    num_inference_steps: int
    # Classifier-free guidance; 1 is none.
    guidance_scale: float
    # Seed of the first picture, 0..MAX_SEED.
    seed: int
    # A key of OUTPUT_FORMATS.
    output_format: str
    # 0..100, for jpeg and webp: higher is larger and nearer to the original.
    output_compression: int
    # What `num_inference_steps` came from, as the API echoes it: low, medium or high.
    quality: str
    # Previews wished for while each picture is drawn, 0..MAX_PREVIEWS; they never change the picture.
    partial_images: int
    # Pictures to start from, the one to be edited first; none when the picture is drawn from the prompt alone.
    images: tuple[Source, ...] = field(default=(), repr=False)
    # Rows of one byte a pixel at the size of the first source: 255 is repainted, 0 stays. Empty: all may change.
    mask: bytes = field(default=b"", repr=False)
    # How far the picture may leave its sources, 0..1; 1 where there are none.
    strength: float = 1.0
    # One of BACKGROUNDS: whether all that is not of the things drawn is transparent.
    background: str = "opaque"
    # Weights that are added to the model's own.
    loras: tuple[Lora, ...] = ()
    # One of the card's `schedulers`; "" is the model's own.
    scheduler: str = ""
    # Whether the seed was asked for. Only then may a picture that was drawn for another request be the answer.
    seeded: bool = False

    def seed_of(self, index: int) -> int:
        """The seed of picture `index`; it wraps round at MAX_SEED."""
        return (self.seed + index) % (MAX_SEED + 1)

    def preview_steps(self) -> frozenset[int]:
        """The steps of a picture after which a preview is due, evenly spaced; fewer where the steps are few."""
        parts = self.partial_images + 1
        due = {-(-part * self.num_inference_steps // parts) for part in range(1, parts)}
        return frozenset(due - {self.num_inference_steps})


@dataclass(frozen=True, kw_only=True)
class Size:
    """Width and height, pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Read "512x512", "512*512" or "512×512".

        Raises:
            InvalidRequestError: it is none of these.
        """
        width, _, height = text.lower().replace("×", "x").replace("*", "x").partition("x")
        if not all(side.strip().isascii() and side.strip().isdigit() for side in (width, height)):
            raise InvalidRequestError(
                f'size must be WIDTHxHEIGHT in pixels, such as "512x512", or "auto"; got {text[:40]!r}.', param="size"
            )
        return cls(width=int(width[:12]), height=int(height[:12]))


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a model is and what it accepts. Validation, /v1/models, the docs and the playground's form all read it."""

    # Unique name: "limner-mini".
    id: str
    # For people.
    title: str
    # SPDX expression.
    licence: str
    # A paragraph for people: what it can draw, how sizes are honoured.
    about: str
    # Unix seconds of the weights' release.
    created: int
    # Who made it.
    owned_by: str
    # The size it draws at itself, and the default.
    native: Size
    # Shortest and longest side that may be asked for, pixels.
    min_side: int
    max_side: int
    # Steps for each quality; "auto" and OpenAI's older names are mapped by `quality_of`.
    quality_steps: Mapping[str, int]
    # The quality of a request that names none.
    default_quality: str = "medium"
    max_steps: int = 50
    default_guidance: float = 1.0
    max_guidance: float = 20.0
    max_n: int = 10
    # Request fields beyond prompt, n, size, seed and format that change the picture.
    knobs: frozenset[str] = frozenset({"num_inference_steps", "guidance_scale", "negative_prompt", "quality"})
    # What it can do: "generate", "preview", "transparent", "lora"; with pictures to start from "edit", "mask", "vary".
    abilities: tuple[str, ...] = ("generate",)
    # First twelve hex digits of the SHA-256 over the weights; "" where unknown.
    weights: str = ""
    # Requests that the engine draws at once; the studio lets that many in.
    concurrency: int = 1
    # Schedulers that a request may choose beside the model's own.
    schedulers: tuple[str, ...] = ()
    # Whether the studio may draw two steps when it opens, to learn their length. Not where that would load a model.
    warm_up: bool = False

    def request(self, prompt: str, **wishes: Any) -> ImageRequest:
        """Resolve wishes into a request: apply defaults, check limits, draw the seed.

        `wishes`: any of n, size, seed, num_inference_steps, guidance_scale, negative_prompt, quality, output_format,
        background, output_compression, partial_images, loras, scheduler, and for edits images, mask, strength,
        input_fidelity; None is the same as absent. Types are the caller's promise, meanings are checked here.

        Raises:
            InvalidRequestError: a value is out of range or not known; `param` names it.
        """
        given = {name: value for name, value in wishes.items() if value is not None}
        # A variation has no prompt; start_of looks whether this model makes any.
        self._check_prompt(prompt, "prompt", empty=bool(given.get("images")))
        start = start_of(given, self.abilities, model=self.id, prompted=bool(prompt.strip()))
        negative = given.pop("negative_prompt", "")
        self._check_prompt(negative, "negative_prompt", empty=True)
        size = self._size(given.pop("size", "auto"), start["images"])
        quality = self.quality_of(given.pop("quality", "auto"))
        seed = given.pop("seed", -1)
        request = ImageRequest(
            model=self.id,
            prompt=prompt,
            negative_prompt=negative,
            n=_between("n", given.pop("n", 1), 1, self.max_n),
            width=size.width,
            height=size.height,
            num_inference_steps=_between(
                "num_inference_steps", given.pop("num_inference_steps", self.quality_steps[quality]), 1, self.max_steps
            ),
            guidance_scale=_between(
                "guidance_scale", float(given.pop("guidance_scale", self.default_guidance)), 0.0, self.max_guidance
            ),
            # -1 is how many clients say "any".
            seed=secrets.randbelow(MAX_SEED + 1) if seed == -1 else _between("seed", seed, 0, MAX_SEED),
            output_compression=_between("output_compression", given.pop("output_compression", 100), 0, 100),
            quality=quality,
            partial_images=_between("partial_images", given.pop("partial_images", 0), 0, MAX_PREVIEWS),
            seeded=seed != -1,
            **file_of(given, self.abilities, model=self.id),
            **style_of(given, self.abilities, self.schedulers, model=self.id),
            **start,
        )
        if given:
            name = next(iter(given))
            raise InvalidRequestError(
                f"{self.id} does not take {name!r}; it takes {', '.join(sorted(self.knobs))}.",
                param=name,
                code="unknown_parameter",
            )
        return request

    def quality_of(self, name: str) -> str:
        """The card's own quality for any of OpenAI's names: standard is the default, hd and above the highest."""
        known = {"auto": self.default_quality, "standard": self.default_quality}
        known |= {"hd": "high", "xhigh": "high", "max": "high"} | {key: key for key in self.quality_steps}
        if name not in known:
            names = ", ".join([*self.quality_steps, "auto", "standard", "hd"])
            raise InvalidRequestError(f"quality must be one of {names}; got {str(name)[:40]!r}.", param="quality")
        return known[name]

    def _size(self, wish: str, sources: Sequence[Source] = ()) -> Size:
        if wish in ("", "auto"):
            if not sources:
                return self.native
            width, height = size_near(sources[0], self.min_side, self.max_side)
            return Size(width=width, height=height)
        if ":" in wish:
            width, height = size_of_ratio(wish, self.native.width * self.native.height, self.min_side, self.max_side)
            return Size(width=width, height=height)
        size = Size.parse(wish)
        for side in (size.width, size.height):
            if not self.min_side <= side <= self.max_side:
                raise InvalidRequestError(
                    f"size must have sides from {self.min_side} to {self.max_side} pixels for {self.id}; "
                    f"got {wish[:40]!r}.",
                    param="size",
                )
        return size

    @staticmethod
    def _check_prompt(text: str, param: str, *, empty: bool = False) -> None:
        if not text.strip() and not empty:
            raise InvalidRequestError(f"{param} must not be empty: say what to draw.", param=param)
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise InvalidRequestError(
                f"{param} must have at most {MAX_PROMPT_CHARACTERS} characters; got {len(text)}.", param=param
            )
        check_unicode(text, param)


def _between(param: str, value: _Number, low: _Number, high: _Number) -> _Number:
    if low <= value <= high:
        return value
    code = "integer_below_min_value" if value < low else "integer_above_max_value"
    if isinstance(low, float):
        code = code.replace("integer", "decimal")
    raise InvalidRequestError(f"{param} must be from {low} to {high}; got {value}.", param=param, code=code)
