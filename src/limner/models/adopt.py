"""Models that lie on this machine already: a folder, or one file of weights with a folder of its settings."""

import time
from dataclasses import replace
from pathlib import Path

from limner.engines.diffusers_layout import check_layout
from limner.errors import InvalidRequestError
from limner.models.download import digest_of
from limner.models.files import INDEX, WEIGHTS, HubFile, check_names, choose, parts_of
from limner.models.shelf import Kept, Pulled, Shelf, check_name, kept_of

# No file has this; it only says that the hash is SHA-256.
ANY = "0" * 64


def adopt(
    place: Path,
    lock: Shelf,
    *,
    name: str | None = None,
    variant: str = "",
    pipeline: str = "",
    config: Path | None = None,
) -> Pulled:
    """Take a model as it lies: its files are checked, and their hashes are written into the lock.

    `place`: a folder with model_index.json, or a .safetensors file; a file also needs `pipeline`, the class that it is
    for, and `config`, a folder with that pipeline's settings and tokenizers.

    Raises:
        InvalidRequestError: there is nothing, or something is missing beside a file.
        EngineError: it is no model that may be loaded.
    """
    place = place.absolute()
    if place.is_dir():
        pipeline, files = _folder(place, variant, pipeline)
    else:
        files = _file(place, pipeline, config)
    pulled = Pulled(
        name=check_name(name or place.name.removesuffix(WEIGHTS)),
        repository="",
        commit="",
        pinned="folder",
        licence="",
        accepted=False,
        pipeline=pipeline,
        variant=variant,
        folder=str(place),
        pulled=int(time.time()),
        config=str(config.absolute()) if config and not place.is_dir() else "",
        files=files,
    )
    lock.put(pulled)
    return pulled


def _folder(folder: Path, variant: str, pipeline: str) -> tuple[str, dict[str, Kept]]:
    # As posix paths, so that the rules are those of the hub's listings.
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    check_names(paths)
    check_layout(folder, pipeline)
    kind, parts = parts_of((folder / INDEX).read_bytes())
    files = [HubFile(path=path, size=(folder / path).stat().st_size, digest=ANY) for path in paths]
    return kind, {file.path: _hashed(folder / file.path, file) for file in choose(files, parts, variant).taken}


def _file(file: Path, pipeline: str, config: Path | None) -> dict[str, Kept]:
    if file.suffix != WEIGHTS or not file.is_file():
        raise InvalidRequestError(f"{file} is neither a folder nor a {WEIGHTS} file.", param="model")
    if not pipeline or config is None:
        raise InvalidRequestError(
            f"{file.name} does not say what it is: name its --pipeline, such as StableDiffusionXLPipeline, and in "
            f"--config a folder with the {INDEX}, settings and tokenizers of that pipeline.",
            param="pipeline",
        )
    check_layout(file, pipeline)
    check_layout(config, pipeline)
    return {"": _hashed(file, HubFile(path="", size=file.stat().st_size, digest=ANY))}


def _hashed(path: Path, file: HubFile) -> Kept:
    return kept_of(path, replace(file, digest=digest_of(path, file)))
