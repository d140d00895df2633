"""The parts of one diffusers model, loaded once, as each of the pipeline classes that draw with them."""

import importlib
import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limner.engines.diffusers_family import FAMILIES, Family
from limner.engines.diffusers_layout import SKIPPED, check_layout, missing_packages
from limner.errors import EngineError, InvalidRequestError

log = logging.getLogger(__name__)
# Pixels above which the decoder works in tiles: its memory grows with the picture, and little else does.
TILED_ABOVE = 1536 * 1536
# Of free memory, what the weights may take where the steps must fit beside them.
WEIGHTS_SHARE = 0.8


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model lies and how it is to be loaded."""

    # A folder with model_index.json, or one .safetensors file.
    folder: str
    # The class that it must be; "" for what it says itself.
    pipeline: str = ""
    # float32, float16, bfloat16 or auto.
    dtype: str = "auto"
    # "fp16" takes the files that have it in their names.
    variant: str = ""
    # cpu, cuda, mps or auto.
    device: str = "auto"
    # none, model, sequential or auto: what waits in the machine's memory while the device does not need it.
    offload: str = "auto"
    # For a single file: a folder with the configurations and tokenizers that it leaves out.
    config: str = ""


@dataclass(eq=False)
class Parts:
    """Made by `load`."""

    family: Family
    # The pipeline as it was loaded.
    base: Any
    # The scheduler that came with it.
    own_scheduler: Any
    device: str
    offload: str
    _made: dict[str, Any] = field(default_factory=lambda: dict[str, Any]())
    _hooked: Any = None

    def pipeline(self, task: str) -> Any:
        """The pipeline for generate, vary, fill or edit; it shares its weights with the others."""
        name: str = getattr(self.family, task)
        if not name:
            raise InvalidRequestError(f"{type(self.base).__name__} does not {task}.", param="image", code="unsupported")
        if name not in self._made:
            kind: Any = getattr(importlib.import_module("diffusers"), name)
            same = type(self.base) is kind
            self._made[name] = self.base if same else kind.from_pipe(self.base, dtype=self.base.dtype)
            self._made[name].set_progress_bar_config(disable=True)
        pipeline = self._made[name]
        if self.offload != "none" and self._hooked is not pipeline:
            # The hooks that move parts between the memories know one pipeline's order only.
            self.base.remove_all_hooks()
            offload(pipeline, self.offload, self.device)
            self._hooked = pipeline
        return pipeline

    def scheduler(self, name: str) -> Any:
        """A scheduler without a history: the model's own for "", else the one that the family's table names."""
        own = self.own_scheduler
        if not name:
            return own.from_config(own.config)
        named, settings = self.family.schedulers[name]
        return getattr(importlib.import_module("diffusers"), named).from_config(own.config, **settings)

    @property
    def model(self) -> Any:
        """What is run once or twice in each step: the transformer or the U-Net."""
        return getattr(self.base, "transformer", None) or self.base.unet

    def grid(self, *sides: int) -> tuple[int, ...]:
        """Sides in pixels, each up to the next multiple of what the model can draw."""
        return tuple(-(-side // self.multiple) * self.multiple for side in sides)

    @property
    def multiple(self) -> int:
        """Pixels that a picture's sides are multiples of."""
        return int(self.base.vae_scale_factor) * self.family.patch

    def tile(self, pixels: int) -> None:
        """Have the decoder work in tiles from TILED_ABOVE pixels, and at once below."""
        vae = self.base.vae
        if hasattr(vae, "enable_tiling"):
            (vae.enable_tiling if pixels > TILED_ABOVE else vae.disable_tiling)()


def load(source: Source) -> Parts:
    """Look through the files, then load them.

    Raises:
        EngineError: packages are missing, the files are refused or damaged; `code` says which.
    """
    if missing := missing_packages():
        raise EngineError(
            f"{', '.join(missing)} must be installed for this model: pip install 'limner[diffusers]'.",
            code="missing_package",
        )
    name = check_layout(source.folder, source.pipeline)
    for library in ("diffusers", "transformers"):
        importlib.import_module(f"{library}.utils.logging").disable_progress_bar()
    torch: Any = importlib.import_module("torch")
    device = chosen_device(source.device)
    dtype = getattr(torch, _dtype(source.dtype, device))
    kind: Any = getattr(importlib.import_module("diffusers"), name)
    damaged: type[Exception] = importlib.import_module("safetensors").SafetensorError
    lacking: type[Exception] = importlib.import_module("diffusers.loaders.single_file_utils").SingleFileComponentError
    options: dict[str, Any] = {"dtype": dtype, "local_files_only": True}
    try:
        if Path(source.folder).is_file():
            base = kind.from_single_file(source.folder, config=source.config or None, **options)
        else:
            base = kind.from_pretrained(source.folder, **options, **_safe(kind, source))
    # Transformers puts off what it lacks until a class is made: the pictures of Qwen and Pixtral need torchvision.
    except ImportError as error:
        log.error("%s could not be loaded", source.folder, exc_info=error)
        raise EngineError(
            f"This model needs a package that is not installed or does not load{_named_in(error)}: "
            "pip install 'limner[diffusers]'; the server's log says more.",
            code="missing_package",
        ) from error
    # What a library says of files that it cannot read may tell of paths: it goes to the log.
    except (damaged, lacking, OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        log.error("%s could not be loaded", source.folder, exc_info=error)
        raise EngineError(
            "The model could not be loaded: its files are damaged or not whole; the server's log says more.",
            code="not_a_model",
        ) from error
    base.set_progress_bar_config(disable=True)
    _channels_last(base.vae)
    way = chosen_offload(source.offload, device, base)
    if way == "none":
        base.to(device)
    return Parts(family=FAMILIES[name], base=base, own_scheduler=base.scheduler, device=device, offload=way)


def _named_in(error: ImportError) -> str:
    """The package, where the error tells it; of what does not load beside torch, transformers says it in words only."""
    named = error.name or ("torchvision" if "torchvision" in str(error).lower() else "")
    return f" ({named})" if named else ""


def chosen_device(wish: str) -> str:
    """cuda, mps or cpu for "auto". Raises EngineError where the device that is named is not there."""
    torch: Any = importlib.import_module("torch")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wish == "auto":
        return next(name for name, is_there in there.items() if is_there)
    if not there.get(wish.partition(":")[0]):
        raise EngineError(f"There is no {wish} on this machine; torch sees {[n for n in there if there[n]]}.")
    return wish


def chosen_offload(wish: str, device: str, base: Any) -> str:
    """none where the weights fit the device's free memory, else model where the largest part does, else sequential."""
    if not device.startswith("cuda"):
        return "none"
    if wish != "auto":
        return wish
    torch: Any = importlib.import_module("torch")
    free = torch.cuda.mem_get_info()[0] * WEIGHTS_SHARE
    sizes = [weight_bytes(part) for part in base.components.values() if isinstance(part, torch.nn.Module)]
    return "none" if sum(sizes) <= free else "model" if max(sizes) <= free else "sequential"


def offload(pipeline: Any, way: str, device: str) -> None:
    """Keep parts in the machine's memory until they are needed."""
    if way == "model":
        pipeline.enable_model_cpu_offload(device=device)
    else:
        pipeline.enable_sequential_cpu_offload(device=device)


def weight_bytes(part: Any) -> int:
    """Bytes of a part's weights."""
    return sum(weight.numel() * weight.element_size() for weight in part.parameters())


def _dtype(wish: str, device: str) -> str:
    if wish == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if wish not in ("float32", "float16", "bfloat16"):
        raise EngineError(f"dtype must be float32, float16, bfloat16 or auto; got {wish[:20]!r}.")
    # No processor computes in half precision.
    return "float32" if (wish, device) == ("float16", "cpu") else wish


def _safe(kind: Any, source: Source) -> Mapping[str, Any]:
    """What keeps the loader from running anything that lies beside the weights."""
    given = inspect.signature(kind.__init__).parameters
    skipped = {name: None for name in SKIPPED if name in given}
    return {
        "use_safetensors": True,
        "trust_remote_code": False,
        "custom_pipeline": None,
        "variant": source.variant or None,
        **skipped,
        **({"requires_safety_checker": False} if skipped else {}),
    }


def _channels_last(vae: Any) -> None:
    """Lay the decoder's weights out as its convolutions read them, where they are of two dimensions."""
    torch: Any = importlib.import_module("torch")
    if all(weight.dim() != 5 for weight in vae.parameters()):
        vae.to(memory_format=torch.channels_last)
