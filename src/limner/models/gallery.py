"""The pulled models as engines: which can run here, which cannot and why, and which answers to `flux`."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from limner.engine import Engine
from limner.errors import LimnerError
from limner.models.catalog import Row, catalogue
from limner.models.machine import Machine, look
from limner.models.residency import Residency, Resident
from limner.models.shelf import Pulled, Shelf
from limner.registry import ALIASES, load_apart
from limner.types import ModelCard, Size

if TYPE_CHECKING:
    from limner.settings import Settings

log = logging.getLogger(__name__)
# Pipelines that are FLUX, whatever their repository is called.
FLUX = ("FluxPipeline", "Flux2Pipeline", "Flux2KleinPipeline")
# What a model without a row in the catalogue is asked for; the engine takes out what its class cannot do.
ABILITIES = ("generate", "preview", "edit", "mask", "vary")

# Makes the engine of a pulled model from its card.
Make = Callable[[Pulled, ModelCard], Engine]


class Gallery:
    """Engines that come and go with the lock file. `engines()` is the same tuple while nothing changed."""

    def __init__(self, shelf: Shelf, looked: Callable[[], Machine], *, keep_alive: float, make: Make) -> None:
        """`looked`: what the machine can run; asked once, when the first model is there: it may start a program."""
        self.shelf = shelf
        self._looked = looked
        self._keep_alive = keep_alive
        self._make = make
        self._seen = -1
        self._pulled: Mapping[str, Pulled] = {}
        self._residents: Mapping[str, Resident] = {}
        self._engines: tuple[Resident, ...] = ()
        self._refused: dict[str, str] = {}
        self._leaving: set[asyncio.Task[bool]] = set()

    @classmethod
    def configured(cls, settings: "Settings") -> "Gallery":
        """The gallery as the settings want it; each model draws in a process of its own."""

        def make(pulled: Pulled, card: ModelCard) -> Engine:
            row = _row(pulled)
            return load_apart(
                "diffusers",
                card=card,
                folder=pulled.folder,
                pipeline=pulled.pipeline,
                dtype=row.dtype if row else "auto",
                variant=pulled.variant,
                device=settings.device,
                config=pulled.config,
                loras=str(settings.loras or ""),
                threads=settings.threads,
            )

        looked = partial(look, settings.device, settings.model_memory)
        return cls(Shelf(settings.models_lock), looked, keep_alive=settings.model_keep_alive, make=make)

    @cached_property
    def machine(self) -> Machine:
        """Where the models run."""
        return self._looked()

    @cached_property
    def residency(self) -> Residency:
        """The memory that they share."""
        return Residency(budget=self.machine.memory, keep_alive=self._keep_alive)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*self._leaving)
        for resident in self._residents.values():
            await resident.__aexit__(kind, error, trace)

    def engines(self) -> Sequence[Engine]:
        """The models that can run here, each opened at its first request."""
        self._refresh()
        return self._engines

    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """Names that clients have hard-coded, with what may answer to each, best first."""
        self._refresh()
        able = [name for name, one in self._residents.items() if "generate" in one.card.abilities]
        order = catalogue().aliases["flux"]
        named = [name for name in order if name in able]
        others = [name for name in able if name not in order and self._pulled[name].pipeline in FLUX]
        # Of those that nobody has ranked, the largest first.
        others.sort(key=lambda name: -self._pulled[name].weights)
        return MappingProxyType({alias: (*named, *others, *choices) for alias, choices in ALIASES.items()})

    def absent(self) -> Mapping[str, str]:
        """Models that somebody may ask for and that cannot run, with the reason as a sentence."""
        self._refresh()
        known = {name: f"{name} is not pulled: limner pull {name}." for name in catalogue().rows}
        return {name: why for name, why in (known | self._refused).items() if name not in self._residents}

    def resident(self, name: str) -> Resident | None:
        """The engine of a name; None where it is not one of these."""
        self._refresh()
        return self._residents.get(name)

    def states(self) -> Mapping[str, Mapping[str, Any]]:
        """The place in memory of each model that can run here."""
        self._refresh()
        return {name: asdict(one.state()) for name, one in self._residents.items()}

    def _refresh(self) -> None:
        changed = self.shelf.changed()
        if changed == self._seen:
            return
        self._seen = changed
        try:
            pulled = self.shelf.all()
        except LimnerError as error:
            log.warning("the models stay as they were: %s", error.message)
            return
        residents: dict[str, Resident] = {}
        self._refused = {}
        for name, one in pulled.items():
            old = self._residents.get(name)
            if old is not None and self._pulled.get(name) == one:
                residents[name] = old
                continue
            try:
                why = self.machine.why_not(one)
                if why:
                    self._refused[name] = f"{why}."
                    continue
                residents[name] = self._resident(one)
            except LimnerError as error:
                self._refused[name] = error.message
        for name, old in self._residents.items():
            if residents.get(name) is not old and old.busy():
                # Its files may be gone; what it has in memory goes with its last picture.
                leaving = asyncio.get_running_loop().create_task(old.dismiss())
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)
        self._pulled, self._residents = pulled, residents
        self._engines = tuple(residents.values())

    def _resident(self, pulled: Pulled) -> Resident:
        wished = card_of(pulled)
        # The engine knows what the pipeline's class can do.
        (card,) = self._make(pulled, wished).cards()
        return self.residency.resident(card, self.machine.needs(pulled), partial(self._checked, pulled, wished))

    def _checked(self, pulled: Pulled, card: ModelCard) -> Engine:
        pulled.check()
        return self._make(pulled, card)


def card_of(pulled: Pulled) -> ModelCard:
    """What a request may ask of a pulled model: the catalogue's facts, else what suits any."""
    digest = hashlib.sha256()
    for path, kept in sorted(pulled.files.items()):
        digest.update(f"{path}={kept.digest}\n".encode())
    weights = digest.hexdigest()[:12]
    row = _row(pulled)
    if row is not None:
        card = row.card(weights)
        abilities = (*card.abilities, "preview", *(["vary"] if "edit" in card.abilities else []))
        return replace(card, id=pulled.name, created=card.created or pulled.pulled, abilities=abilities)
    where = pulled.repository or Path(pulled.folder).name
    return ModelCard(
        id=pulled.name,
        title=pulled.name,
        licence=pulled.licence or "unknown",
        about=f"{where}, a {pulled.pipeline}.",
        created=pulled.pulled,
        owned_by=pulled.repository.partition("/")[0] or "local",
        native=Size(width=1024, height=1024),
        min_side=64,
        max_side=2048,
        quality_steps={"low": 14, "medium": 28, "high": 50},
        max_steps=100,
        default_guidance=3.5,
        max_guidance=50.0,
        max_n=4,
        abilities=ABILITIES,
        weights=weights,
    )


def _row(pulled: Pulled) -> Row | None:
    return catalogue().of_repository(pulled.repository) if pulled.repository else None
