"""The catalogue: models that can be pulled by a name of ours, with facts that somebody has looked up."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from limner.types import ModelCard, Size

# Licences that ask nothing of who runs the model; all others are shown and must be accepted before a pull.
PERMISSIVE = frozenset(
    {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "isc", "unlicense"}
)
GIGABYTE = 10**9


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model of catalog.toml, which says what each fact means."""

    name: str
    title: str
    # owner/name at the hub.
    repository: str
    # 40 hex digits, or "" where no commit could be verified; then a pull pins what the hub reports.
    revision: str = ""
    licence: str
    gated: bool
    # Unix seconds; 0 where unknown.
    released: int = 0
    owner: str
    # The class that model_index.json must name.
    pipeline: str
    family: str
    # diffusers' name of a second set of weight files; "" for the plain ones.
    variant: str = ""
    # Bytes, about; 0 where unknown.
    download: int = 0
    # Bytes on the device, with everything there and with only the part at work there.
    memory: int
    memory_offloaded: int
    dtype: str
    size: str
    steps: Mapping[str, int]
    guidance: float
    abilities: tuple[str, ...]
    about: str

    def card(self, weights: str = "") -> ModelCard:
        """What a request may ask of it."""
        side = Size.parse(self.size)
        return ModelCard(
            id=self.name,
            title=self.title,
            licence=self.licence,
            about=self.about,
            created=self.released,
            owned_by=self.owner,
            native=side,
            min_side=256,
            max_side=2048,
            quality_steps=self.steps,
            max_steps=100,
            default_guidance=self.guidance,
            max_guidance=50.0,
            max_n=4,
            abilities=self.abilities,
            weights=weights,
        )


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All rows by name, and what `flux` may mean."""

    rows: Mapping[str, Row]
    # Names that may answer to an alias, best first.
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def of_repository(self, repository: str) -> Row | None:
        """The row of a repository, if there is one; the hub's names do not care for capitals."""
        wanted = repository.lower()
        return next((row for row in self.rows.values() if row.repository.lower() == wanted), None)


@cache
def catalogue() -> Catalogue:
    """Read catalog.toml, once."""
    text = resources.files("limner.models").joinpath("catalog.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return Catalogue(
        rows=MappingProxyType({name: _row(name, dict(facts)) for name, facts in found["models"].items()}),
        aliases=MappingProxyType({name: tuple(names) for name, names in found["aliases"].items()}),
    )


def must_accept(licence: str) -> bool:
    """Whether a person must accept this licence before its model is pulled. "" is no licence at all, so yes."""
    return licence.lower() not in PERMISSIVE


def _row(name: str, facts: dict[str, Any]) -> Row:
    for key in ("download", "memory", "memory_offloaded"):
        if key in facts:
            facts[key] = round(facts[key] * GIGABYTE)
    released: date | None = facts.pop("released", None)
    if released is not None:
        facts["released"] = int(datetime.combine(released, time(), UTC).timestamp())
    facts |= {"name": name, "abilities": tuple(facts["abilities"]), "guidance": float(facts["guidance"])}
    return Row(**facts)
