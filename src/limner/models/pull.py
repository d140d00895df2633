"""Bring a model to this machine: which it is, what it asks, whether there is room, its files, and the lock."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from limner.engines.diffusers_layout import check_layout
from limner.errors import (
    EngineError,
    HubError,
    ModelNotFoundError,
    PermissionDeniedError,
    StorageError,
)
from limner.models import hub, shelf
from limner.models.catalog import Row, catalogue, must_accept
from limner.models.download import Downloads
from limner.models.files import INDEX, WEIGHTS, Choice, choose, parts_of
from limner.models.machine import Machine
from limner.models.shelf import Kept, Pulled, Shelf, kept_of
from limner.types import nearest

# Bytes that stay free beside a pulled model, so that the machine can go on working.
SPARE = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A model that can be pulled, before anything large has come."""

    name: str
    row: Row | None
    listing: hub.Listing
    pinned: str
    pipeline: str
    variant: str
    choice: Choice

    @property
    def licence(self) -> str:
        """The catalogue's name for it, else the hub's."""
        return self.row.licence if self.row else self.listing.licence

    @property
    def must_accept(self) -> bool:
        """Somebody must say yes to the licence first."""
        return must_accept(self.licence)


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a pull is."""

    # The file that is being fetched.
    path: str
    # Bytes of the whole model that are here, and that there are.
    done: int
    total: int


Told = Callable[[Step], None]


def offer(wanted: str, *, name: str | None = None, variant: str | None = None) -> Offer:
    """Look up a name of the catalogue, or OWNER/NAME[@REVISION], and ask the hub what it has.

    `name`: how requests will call it; by default the catalogue's name, or OWNER/NAME.

    Raises:
        ModelNotFoundError: neither the catalogue nor the hub knows it.
        EngineError: the repository is no model that could be loaded, or is not safe.
        PermissionDeniedError, HubError: as `hub.listing`.
    """
    repository, _, revision = wanted.partition("@")
    row = catalogue().rows.get(repository) or catalogue().of_repository(repository)
    if row is None and "/" not in repository:
        names = nearest(repository, list(catalogue().rows)) or list(catalogue().rows)
        raise ModelNotFoundError(
            f"The catalogue has no model {repository[:80]!r}; the nearest are {', '.join(names)}. A model of the hub "
            "is named OWNER/NAME.",
            param="model",
        )
    named = revision or (row.revision if row else "")
    listing = hub.listing(row.repository if row else repository, named)
    if len(named) == 40 and listing.commit != named:
        raise HubError(f"The hub answers {named} with {listing.commit}: not the commit that was asked for.")
    pinned = "revision" if revision else "catalogue" if named else "pull"
    variant = variant if variant is not None else row.variant if row else ""
    with Downloads() as downloads:
        index = _small(downloads, listing)
    pipeline, parts = parts_of(index)
    if row is not None and not revision and pipeline != row.pipeline:
        raise EngineError(
            f"{listing.repository} holds a {pipeline}, and the catalogue says {row.pipeline}.",
            code="unknown_model_class",
        )
    return Offer(
        name=shelf.check_name(name or (row.name if row else listing.repository)),
        row=row,
        listing=listing,
        pinned=pinned,
        pipeline=pipeline,
        variant=variant,
        choice=choose(listing.files, parts, variant),
    )


def pull(offer: Offer, lock: Shelf, *, accepted: bool, told: Told = lambda step: None) -> Pulled:
    """Fetch what the offer names, check every hash, and write it into the lock.

    Cut off at any point, it goes on from there the next time.

    Raises:
        PermissionDeniedError: the licence must be accepted and was not; or the repository is gated.
        StorageError: too little room, or the disk fails.
        HubError: the bytes do not come, or are not those that the hub named.
        EngineError: what came is no model that may be loaded.
    """
    if offer.must_accept and not accepted:
        raise PermissionDeniedError(
            f"{offer.name} comes under {offer.licence or 'no licence that the hub names'}: read {offer.listing.terms} "
            "and say --accept-licence (over HTTP: accept_licence: true).",
            param="accept_licence",
            code="licence_not_accepted",
        )
    repository, commit = offer.listing.repository, offer.listing.commit
    _check_room(offer)
    files: dict[str, Kept] = {}
    done, checked = 0, ""
    folder = shelf.snapshot(repository, commit)
    with Downloads() as downloads:
        # What can be judged comes before what is large.
        for file in sorted(offer.choice.taken, key=lambda file: file.path.endswith(WEIGHTS)):
            if file.path.endswith(WEIGHTS) and not checked:
                checked = check_layout(folder, offer.pipeline)
            before = done

            def here(have: int, path: str = file.path, before: int = before) -> None:
                told(Step(path=path, done=before + have, total=offer.choice.size))

            downloads.fetch(repository, commit, file, shelf.blob(repository, file), here)
            files[file.path] = kept_of(shelf.place(repository, commit, file), file)
            done += file.size
    if offer.pinned == "pull":
        shelf.refer(repository, "main", commit)
    check_layout(folder, offer.pipeline)
    pulled = Pulled(
        name=offer.name,
        repository=repository,
        commit=commit,
        pinned=offer.pinned,
        licence=offer.licence,
        accepted=accepted and offer.must_accept,
        pipeline=offer.pipeline,
        variant=offer.variant,
        folder=str(folder),
        pulled=int(time.time()),
        files=files,
    )
    lock.put(pulled)
    return pulled


def here_already(wanted: str, lock: Shelf, name: str | None = None) -> Pulled | None:
    """A model that was pulled and whose files are right, for when the hub cannot or need not be asked."""
    repository, _, revision = wanted.partition("@")
    for pulled in lock.all().values():
        called = (name or pulled.name) == pulled.name and repository in (pulled.name, pulled.repository)
        if called and revision in ("", pulled.commit):
            try:
                pulled.check()
            except EngineError:
                return None
            return pulled
    return None


def choice_of_alias(alias: str, machine: Machine) -> str:
    """The model that `limner pull flux` takes: the best that fits this machine, else the smallest of those it names."""
    known = catalogue()
    names = known.aliases.get(f"pull-{alias}", known.aliases[alias])
    fitting = (name for name in names if known.rows[name].memory_offloaded <= machine.memory)
    return next(fitting, names[-1])


def _small(downloads: Downloads, listing: hub.Listing) -> bytes:
    """model_index.json, from the cache where it lies there already."""
    file = next((file for file in listing.files if file.path == INDEX), None)
    if file is None or file.size > 100_000:
        raise EngineError(
            f"{listing.repository} has no {INDEX}: it is no diffusers model, or one in another form.",
            code="not_a_model",
        )
    blob = shelf.blob(listing.repository, file)
    downloads.fetch(listing.repository, listing.commit, file, blob, lambda have: None)
    return blob.read_bytes()


def _check_room(offer: Offer) -> None:
    repository = offer.listing.repository
    missing = sum(file.size for file in offer.choice.taken if not shelf.blob(repository, file).exists())
    place = hub.cache_folder()
    there = next(path for path in (place, *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if missing and missing + SPARE > free:
        raise StorageError(
            f"{offer.name} needs {_gigabytes(missing)} GB and {_gigabytes(SPARE)} to spare, and {there} has "
            f"{_gigabytes(free)} GB free; make room, or set HF_HUB_CACHE to a larger disk.",
            code="storage_full",
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f}"
