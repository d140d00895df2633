"""Which files of a repository are taken: those that its pipeline reads and that cannot carry code. All others stay.

Pickles (.bin, .pt, .ckpt, .pkl, .msgpack, .h5), Python and archives are never on the list. A name that would leave the
folder it is written to makes the whole repository suspect, so it is refused and not skipped.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from limner.errors import EngineError

INDEX = "model_index.json"
# Weights; settings of a part; vocabularies; SentencePiece vocabularies; chat templates of text encoders.
WEIGHTS = ".safetensors"
SUFFIXES = (WEIGHTS, ".json", ".txt", ".model", ".jinja")
# A part of a path, as the hub's own pages make them. No leading dot: no hidden files.
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+ -]{0,200}")
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")
# A settings file larger than this is none. Tokenizers reach 35 MB.
MAX_TEXT = 100_000_000


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """A file as the hub lists it."""

    # Relative to the repository, with slashes.
    path: str
    # Bytes.
    size: int
    # SHA-256 of the content for files in LFS, else the SHA-1 that git gives a blob; the hub's ETag, too.
    digest: str


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What is taken of a repository, and what is left."""

    taken: tuple[HubFile, ...]
    # Paths that were left, for people.
    left: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of all that is taken."""
        return sum(file.size for file in self.taken)


def check_names(paths: Iterable[str]) -> None:
    """Refuse a repository whose listing names files outside itself.

    Raises:
        EngineError: a path is absolute, climbs, or holds what no file name should; its code is "unsafe_model".
    """
    for path in paths:
        parts = path.split("/")
        bad = ("\\" in path) or any(part in ("", ".", "..") or not part.isprintable() for part in parts)
        if bad or re.match(r"[A-Za-z]:", path):
            raise unsafe(f"lists the file {path[:80]!r}, whose name leads out of its folder")


def parts_of(index: bytes) -> tuple[str, Mapping[str, str]]:
    """The pipeline's class and the class of each part that model_index.json names.

    Raises:
        EngineError: it is no such file, or names something else than classes of diffusers and transformers.
    """
    try:
        told: object = json.loads(index)
    except (ValueError, RecursionError):
        raise EngineError(f"{INDEX} is not JSON, so this is no diffusers model.", code="not_a_model") from None
    if not isinstance(told, dict):
        raise EngineError(f"{INDEX} is not an object, so this is no diffusers model.", code="not_a_model")
    entries = cast(Mapping[str, Any], told)
    pipeline = entries.get("_class_name")
    # A list is diffusers' way to load a pipeline's code from the repository.
    if not isinstance(pipeline, str) or not _CLASS.fullmatch(pipeline):
        raise unsafe(f"has no plain class name in {INDEX}")
    parts: dict[str, str] = {}
    for name, value in entries.items():
        if name.startswith("_") or not isinstance(value, list):
            continue
        pair = cast(list[object], value)
        if pair in ([None, None], []):
            continue
        library, kind = (pair[0], pair[1]) if len(pair) == 2 else (None, None)
        if library not in ("diffusers", "transformers") or not isinstance(kind, str) or not _CLASS.fullmatch(kind):
            raise unsafe(
                f"wants to load {name!r} from {str(library)[:40]!r} in {INDEX}, not from diffusers or transformers"
            )
        if not _PART.fullmatch(name):
            raise unsafe(f"names a part {name[:40]!r} in {INDEX}")
        parts[name] = kind
    return pipeline, parts


def choose(files: Sequence[HubFile], parts: Iterable[str], variant: str = "") -> Choice:
    """The files that a pipeline with these parts reads, in `variant` where a part has it.

    Raises:
        EngineError: a part is missing, or its weights are there as a pickle only.
    """
    taken: list[HubFile] = [file for file in files if file.path == INDEX]
    for part in parts:
        inside = [file for file in files if file.path.startswith(f"{part}/")]
        if not inside:
            raise EngineError(f"{INDEX} names {part}, but the repository has no such folder.", code="not_a_model")
        taken += _of_part(part, inside, variant)
    paths = {file.path for file in taken}
    return Choice(taken=tuple(taken), left=tuple(file.path for file in files if file.path not in paths))


def unsafe(what: str) -> EngineError:
    """The error of a repository that would do more than hold weights."""
    return EngineError(f"This repository {what}; Limner does not load it.", code="unsafe_model")


def _of_part(part: str, inside: Sequence[HubFile], variant: str) -> list[HubFile]:
    plain = [file for file in inside if _allowed(file)]
    weights = [file for file in plain if file.path.endswith(WEIGHTS)]
    kinds = {_variant_of(file.path) for file in weights}
    pickles = [file.path for file in inside if file.path.endswith((".bin", ".pt", ".ckpt", ".pth", ".pkl"))]
    if pickles and not weights:
        raise unsafe(f"has the weights of {part} only as {pickles[0]}, a format that can run code,")
    wanted = variant if variant in kinds else ""
    if weights and wanted not in kinds:
        raise EngineError(
            f"{part} has weights only as {', '.join(sorted(kinds))}: name one as the variant.", code="not_a_model"
        )
    return [file for file in plain if not _is_weights(file.path) or _variant_of(file.path) == wanted]


def _allowed(file: HubFile) -> bool:
    parts = file.path.split("/")
    text = not file.path.endswith(WEIGHTS)
    return (
        len(parts) == 2
        and all(_PART.fullmatch(part) for part in parts)
        and file.path.endswith(SUFFIXES)
        and not (text and file.size > MAX_TEXT)
    )


def _is_weights(path: str) -> bool:
    """Weights, or the list of their shards."""
    return path.endswith(WEIGHTS) or f"{WEIGHTS}.index." in path


def _variant_of(path: str) -> str:
    """ "fp16" for model.fp16.safetensors and its shards and lists, "" for model.safetensors."""
    name = path.rsplit("/", 1)[-1]
    if f"{WEIGHTS}.index." in name:
        return name.split(f"{WEIGHTS}.index.", 1)[1].removesuffix("json").removesuffix(".")
    _, _, variant = _SHARD.sub("", name.removesuffix(WEIGHTS)).partition(".")
    return variant
