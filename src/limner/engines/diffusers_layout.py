"""What a folder of weights may hold before any of it is opened. Standard library only; nothing is imported or run.

A model's folder comes from strangers. `model_index.json` names Python classes, and with some values diffusers fetches
or runs code that lies beside the weights. So every name is held against a list of ours first, weights are
safetensors, and no file leads out of the model's own folder or its cache.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from limner.engines.diffusers_family import FAMILIES
from limner.errors import EngineError

INDEX = "model_index.json"
# Classes that a part of a model may have, by library.
COMPONENTS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "diffusers": re.compile(r"\w+Transformer(2D)?Model|UNet2DConditionModel|Autoencoder\w+|\w+Scheduler", re.ASCII),
        "transformers": re.compile(
            r"(CLIP|T5|UMT5|Qwen|Mistral|Gemma|Llama|Pixtral|Siglip|ChatGLM|Glm)\w*|TokenizersBackend|"
            r"PreTrainedTokenizerFast|\w+Processor",
            re.ASCII,
        ),
    }
)
# Parts that we never load, whatever they are: pictures are not judged here.
SKIPPED = ("safety_checker",)
# Keys of any configuration that make libraries run code from the folder.
CODE_KEYS = ("auto_map", "custom_pipeline", "_attn_implementation_internal")
# Files that only unpickling reads, and unpickling runs code.
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
# A configuration; tokenizers are larger, and have no keys that matter.
MAX_CONFIG = 1_000_000
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")


def missing_packages() -> tuple[str, ...]:
    """What must be installed before any model of this engine runs. Imports none of it."""
    return tuple(name for name in PACKAGES if find_spec(name) is None)


def check_layout(folder: Path | str, pipeline: str = "") -> str:
    """Look through a model's folder, and give the name of the pipeline class that it is for.

    `pipeline`: the class that it must be; "" for any of ours. A single .safetensors file needs it.

    Raises:
        EngineError: `code` is not_a_model, unknown_model_class or unsafe_model.
    """
    folder = Path(folder)
    if folder.suffix == ".safetensors" and folder.is_file():
        return _known(pipeline, f"{folder.name} does not tell its class; say which it is.")
    index = _read(folder / INDEX)
    if not isinstance(index, dict):
        raise EngineError(f"{folder} is no model: it holds no {INDEX} that can be read.", code="not_a_model")
    parts = cast(dict[str, Any], index)
    name = parts.get("_class_name")
    if pipeline and name != pipeline:
        raise EngineError(f"{folder} should hold a {pipeline}, and holds {_shown(name)}.", code="unknown_model_class")
    known = _known(name, "")
    for part, value in parts.items():
        if not part.startswith("_") and isinstance(value, list | dict | str) and part not in SKIPPED:
            _check_part(part, cast(object, value))
    _check_files(folder)
    return known


def _known(name: object, more: str) -> str:
    if isinstance(name, str) and name in FAMILIES:
        return name
    raise EngineError(
        f"{more or f'The class {_shown(name)} is not one that this engine loads.'} It loads {', '.join(FAMILIES)}.",
        code="unknown_model_class",
    )


def _check_part(part: str, value: object) -> None:
    """A part is [library, class]; [null, null] is one that is not there."""
    if value == [None, None]:
        return
    pair = cast(list[object], value) if isinstance(value, list) else []
    library, kind = pair if len(pair) == 2 else (None, None)
    allowed = COMPONENTS.get(library) if isinstance(library, str) else None
    if not allowed or not isinstance(kind, str) or not allowed.fullmatch(kind):
        raise EngineError(
            f"The model is refused: its {part[:40]} is {_shown(cast(object, value))}, which is no class of diffusers "
            "or transformers that this engine loads. Models with code of their own are not run.",
            code="unsafe_model",
        )


def _check_files(folder: Path) -> None:
    inside = [folder.resolve()]
    # In the hub's cache, a snapshot's files are links into the blobs beside the snapshots.
    if folder.resolve().parent.name == "snapshots":
        inside.append(folder.resolve().parents[1] / "blobs")
    files = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    for path in files:
        if not any(path.resolve().is_relative_to(place) for place in inside):
            raise EngineError(f"The model is refused: {path.name} leads out of its folder.", code="unsafe_model")
        if path.suffix == ".json" and path.stat().st_size <= MAX_CONFIG:
            held = next((key for key in _keys(_read(path)) if key in CODE_KEYS), None)
            if held:
                raise EngineError(f"The model is refused: {path.name} names code to run ({held}).", code="unsafe_model")
    folders = {path.parent for path in files if path.suffix in PICKLES}
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    if folders - safe:
        where = sorted(folders - safe)[0].relative_to(folder)
        raise EngineError(
            f"The model is refused: {where} has its weights as pickles only, which run code when they are read. "
            "Get the safetensors of this model.",
            code="unsafe_model",
        )


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _keys(value: object) -> Iterator[str]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            table = cast(dict[str, object], each)
            yield from table
            waiting += table.values()
        elif isinstance(each, list):
            waiting += cast(list[object], each)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)[:80]
