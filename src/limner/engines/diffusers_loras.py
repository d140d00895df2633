"""LoRAs of requests: each file is read once, and switched on for the pictures that ask for it alone."""

import importlib.util
import logging
from pathlib import Path
from typing import Any

from limner.errors import EngineError, InvalidRequestError
from limner.loras import Lora
from limner.types import nearest

log = logging.getLogger(__name__)
# Files that are kept in the device's memory; the one that was not used for longest goes first.
KEPT = 16


class Loras:
    """The folder of LoRAs and those that are loaded."""

    def __init__(self, base: Any, folder: str) -> None:
        self._base = base
        self._folder = Path(folder) if folder else None
        # Name -> what peft calls it; the last is the one used last.
        self._loaded: dict[str, str] = {}
        self._made = 0

    def use(self, wanted: tuple[Lora, ...]) -> None:
        """Have the next pictures drawn with exactly these.

        Raises:
            InvalidRequestError: there is no such file, or it does not fit this model.
        """
        if not wanted:
            if self._loaded:
                self._base.disable_lora()
            return
        paths = [self._path(lora, at) for at, lora in enumerate(wanted)]
        for at, (lora, path) in enumerate(zip(wanted, paths, strict=True)):
            if lora.name not in self._loaded:
                self._load(lora.name, path, f"loras[{at}]")
            self._loaded[lora.name] = self._loaded.pop(lora.name)
        while len(self._loaded) > max(KEPT, len(wanted)):
            self._base.delete_adapters(self._loaded.pop(next(iter(self._loaded))))
        self._base.enable_lora()
        self._base.set_adapters([self._loaded[lora.name] for lora in wanted], [lora.scale for lora in wanted])

    def _path(self, lora: Lora, at: int) -> Path:
        param = f"loras[{at}]"
        if self._folder is None:
            raise InvalidRequestError("This server has no folder of LoRAs; set one with LIMNER_LORAS.", param=param)
        folder = self._folder.resolve()
        path = (folder / f"{lora.name}.safetensors").resolve()
        if path.is_relative_to(folder) and path.is_file():
            return path
        names = [p.relative_to(folder).with_suffix("").as_posix() for p in folder.rglob("*.safetensors")]
        close = nearest(lora.name, names) or sorted(names)[:5]
        told = f"the nearest are {', '.join(close)}" if close else "its folder holds none"
        raise InvalidRequestError(f"There is no LoRA {lora.name!r} here; {told}.", param=param, code="lora_not_found")

    def _load(self, name: str, path: Path, param: str) -> None:
        if importlib.util.find_spec("peft") is None:
            raise EngineError(
                "peft must be installed for LoRAs: pip install 'limner[diffusers]'.", code="missing_package"
            )
        self._made += 1
        adapter = f"lora{self._made}"
        damaged: type[Exception] = importlib.import_module("safetensors").SafetensorError
        try:
            self._base.load_lora_weights(
                str(path.parent),
                weight_name=path.name,
                adapter_name=adapter,
                use_safetensors=True,
                local_files_only=True,
            )
        # Whatever the libraries say of a file that is damaged or made for another model.
        except (damaged, OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
            log.warning("the LoRA %s could not be loaded", name, exc_info=error)
            if self._holds(adapter):
                self._base.delete_adapters(adapter)
            raise InvalidRequestError(
                f"The LoRA {name!r} does not fit this model, or is damaged.", param=param, code="lora_unfit"
            ) from error
        if not self._holds(adapter):
            raise InvalidRequestError(
                f"The LoRA {name!r} changes nothing of this model.", param=param, code="lora_unfit"
            )
        self._loaded[name] = adapter

    def _holds(self, adapter: str) -> bool:
        known: dict[str, list[str]] = self._base.get_list_adapters()
        return any(adapter in names for names in known.values())
