"""Rounds to figures, and figures to a table."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.machine import line
from bench.subjects import Cost


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject of one figure."""

    # What was done: "256x256 picture".
    figure: str
    # Who did it.
    subject: str
    # "ours", "peer" or "limit".
    role: str
    rounds: int
    # Median, and the quartiles' distance, in milliseconds.
    wall: float
    wall_iqr: float
    cpu: float
    cpu_iqr: float
    # What a reader must know to compare it.
    note: str = ""


def row(figure: str, subject: str, role: str, costs: Sequence[Cost], note: str = "") -> Row:
    """Medians and quartile distances of the rounds."""
    walls, cpus = [cost.wall for cost in costs], [cost.cpu for cost in costs]
    return Row(
        figure=figure,
        subject=subject,
        role=role,
        rounds=len(costs),
        wall=round(statistics.median(walls), 1),
        wall_iqr=round(spread(walls), 1),
        cpu=round(statistics.median(cpus), 1),
        cpu_iqr=round(spread(cpus), 1),
        note=note,
    )


def spread(values: Sequence[float]) -> float:
    """The distance between the quartiles; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def table(rows: Sequence[Row]) -> str:
    """Markdown: each figure's rows together, each peer's and limit's time as a multiple of ours."""
    lines = [
        "| figure | what ran | wall ms (IQR) | times ours | CPU ms (IQR) | times ours |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for each in rows:
        ours = next((other for other in rows if other.figure == each.figure and other.role == "ours"), None)
        subject = f"limit: {each.subject}" if each.role == "limit" else each.subject
        lines.append(
            f"| {each.figure} | {subject} | {each.wall:.0f} ({each.wall_iqr:.0f}) | {_ratio(each, ours, 'wall')} "
            f"| {each.cpu:.0f} ({each.cpu_iqr:.0f}) | {_ratio(each, ours, 'cpu')} |"
        )
    return "\n".join(lines)


def _ratio(each: Row, ours: Row | None, what: str) -> str:
    if ours is None or each is ours or not getattr(ours, what):
        return ""
    return f"{getattr(each, what) / getattr(ours, what):.2f} x"


def page(result: dict[str, Any]) -> str:
    """The whole report of a run, from what its JSON file holds."""
    rows = [Row(**each) for each in result["rows"]]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    notes = [f"- {each.figure}, {each.subject}: {each.note}." for each in rows if each.note]
    parts = [table(rows), "\n".join(notes), f"Measured on {result['date']}: {line(result['machine'])}. {versions}."]
    if result["others"] > 0:
        parts.append(f"Other programs used {result['others']:.1%} of the machine meanwhile.")
    if not result["publishable"]:
        parts.insert(0, "**Not for publication:** " + " ".join(result["objections"]))
    return "\n\n".join(part for part in parts if part)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows as plain values."""
    return [asdict(each) for each in rows]
