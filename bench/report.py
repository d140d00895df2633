"""Rounds to figures, figures to tables, and aims that are met or missed."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.machine import line

# What one round of one subject gave, by column.
Values = dict[str, float]
# How columns are shown: heading, digits after the point, and whether more is better.
COLUMNS: dict[str, tuple[str, int, bool]] = {
    "wall": ("wall ms", 1, False),
    "cpu": ("CPU ms", 1, False),
    "p50": ("p50 ms", 0, False),
    "p99": ("p99 ms", 0, False),
    "rate": ("a second", 1, True),
    "gflops": ("GFLOP a second", 1, True),
    "memory": ("memory MB", 0, False),
    "size": ("bytes, of Pillow's", 2, False),
    "wasted": ("device ms wasted", 0, False),
    "distributions": ("distributions", 0, False),
    "megabytes": ("installed MB", 1, False),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One subject of one figure: medians of its rounds."""

    # What was done: "256x256 picture".
    figure: str
    # Who did it.
    subject: str
    # "ours", "also ours", "peer" or "limit".
    role: str
    rounds: int
    # By column: the median, and the quartiles' distance.
    values: Values
    spreads: Values
    # What a reader must know to compare it.
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a figure should be, and what it is."""

    text: str
    wanted: float
    got: float
    # The figure should be at most this, rather than at least.
    most: bool = False
    met: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "met", self.got <= self.wanted if self.most else self.got >= self.wanted)


def row(figure: str, subject: str, role: str, rounds: Sequence[Values], note: str = "") -> Row:
    """Medians and quartile distances of the rounds."""
    columns = {name: [values[name] for values in rounds] for name in (rounds[0] if rounds else ())}
    return Row(
        figure=figure,
        subject=subject,
        role=role,
        rounds=len(rounds),
        values={name: round(statistics.median(values), 3) for name, values in columns.items()},
        spreads={name: round(spread(values), 3) for name, values in columns.items()},
        note=note,
    )


def rows(
    figure: str, costs: dict[str, list[Values]], roles: dict[str, str], notes: dict[str, str] | None = None
) -> list[Row]:
    """A row for each subject; those whose role is not given are peers."""
    return [
        row(figure, name, roles.get(name, "peer"), each, (notes or {}).get(name, "")) for name, each in costs.items()
    ]


def spread(values: Sequence[float]) -> float:
    """The distance between the quartiles; 0 for a single value."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return high - low


def find(rows: Iterable[Row], figure: str, subject: str) -> Values:
    """The medians of one row; empty where it was not measured."""
    return next((each.values for each in rows if (each.figure, each.subject) == (figure, subject)), {})


def aim(text: str, wanted: float, got: Callable[[], float], *, most: bool = False) -> list[Aim]:
    """An aim, where both sides of it were measured."""
    try:
        return [Aim(text=text, wanted=wanted, got=round(got(), 2), most=most)]
    except (KeyError, ZeroDivisionError):
        return []


def times(rows: Sequence[Row], figure: str, ours: str, theirs: str, column: str) -> Callable[[], float]:
    """How many times ours a cost of theirs is; of a rate, how many times theirs ours is."""

    def ratio() -> float:
        mine, peer = find(rows, figure, ours)[column], find(rows, figure, theirs)[column]
        return mine / peer if COLUMNS[column][2] else peer / mine

    return ratio


def table(rows: Sequence[Row]) -> str:
    """Markdown: each figure's rows together, each peer's and limit's cost as a multiple of ours."""
    columns = [name for name in COLUMNS if any(name in each.values for each in rows)]
    heads = [COLUMNS[name][0] for name in columns]
    lines = ["| figure | what ran | " + " | ".join(heads) + " |", "|---|---|" + "--:|" * len(columns)]
    for each in rows:
        ours = next((other for other in rows if other.figure == each.figure and other.role == "ours"), None)
        subject = f"limit: {each.subject}" if each.role == "limit" else each.subject
        subject = f"**{subject}**" if each is ours else subject
        cells = [_cell(each, ours, name) for name in columns]
        lines.append(f"| {each.figure} | {subject} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(each: Row, ours: Row | None, name: str) -> str:
    if name not in each.values:
        return ""
    _, digits, more = COLUMNS[name]
    value = each.values[name]
    # Small costs need their digits, large ones do not.
    digits = digits if value < 100 else 0
    shown = f"{value:.{digits}f}"
    if each.spreads.get(name):
        shown += f" ({each.spreads[name]:.{digits}f})"
    if ours is None or each is ours or name == "size" or not ours.values.get(name) or not value:
        return shown
    times = ours.values[name] / value if more else value / ours.values[name]
    return f"{shown}, {times:.3g} x"


def page(result: dict[str, Any]) -> str:
    """The whole report of one bench, from what its JSON file holds."""
    rows, aims = read(result)
    notes = [f"- {each.figure}, {each.subject}: {each.note}." for each in rows if each.note]
    parts = [table(rows), "\n".join(notes), aims_table(aims), source(result)]
    if not result["publishable"]:
        parts.insert(0, "**Not for publication:** " + " ".join(result["objections"]))
    return "\n\n".join(part for part in parts if part)


def aims_table(aims: Sequence[Aim]) -> str:
    """Each aim with what came of it."""
    if not aims:
        return ""
    lines = ["| aim | wanted | got | |", "|---|--:|--:|---|"]
    for each in aims:
        bound = "at most" if each.most else "at least"
        lines.append(
            f"| {each.text} | {bound} {each.wanted:g} | {each.got:g} | {'met' if each.met else '**missed**'} |"
        )
    return "\n".join(lines)


def source(result: dict[str, Any]) -> str:
    """Where and when it was measured, and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"Measured on {result['date']}, {result['rounds']} rounds: {line(result['machine'])}. "
        f"{versions + '. ' if versions else ''}Other programs used {result['others']:.1%} of the machine meanwhile."
    )


def as_json(rows: Sequence[Row | Aim]) -> list[dict[str, Any]]:
    """Rows and aims as plain values."""
    return [asdict(each) for each in rows]


def read(result: dict[str, Any]) -> tuple[list[Row], list[Aim]]:
    """The rows and aims of a JSON file."""
    aims = [Aim(**{name: value for name, value in each.items() if name != "met"}) for each in result["aims"]]
    return [Row(**each) for each in result["rows"]], aims


def short(results: Sequence[dict[str, Any]]) -> str:
    """One line a figure: ours, the first peer, and the limit, in the figure's first column."""
    lines = ["| what | | limner | beside it | times | limit |", "|---|---|--:|---|--:|--:|"]
    for result in results:
        rows, _ = read(result)
        for figure in dict.fromkeys(each.figure for each in rows):
            lines += _short_line(result["title"], [each for each in rows if each.figure == figure])
    described = "; ".join(dict.fromkeys(line(result["machine"]) for result in results))
    dates = sorted({result["date"] for result in results})
    return "\n".join(lines) + f"\n\nMeasured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}: {described}."


def _short_line(title: str, rows: Sequence[Row]) -> list[str]:
    ours = next((each for each in rows if each.role == "ours"), None)
    peers = [each for each in rows if each.role == "peer" and each.values]
    if ours is None or not peers:
        return []
    column = next(name for name in COLUMNS if name in ours.values)
    head, digits, more = COLUMNS[column]
    peer = peers[0]
    limit = next((each.values.get(column) for each in rows if each.role == "limit"), None)
    mine, theirs = ours.values[column], peer.values[column]
    times = mine / theirs if more else theirs / mine if mine else 0.0
    cells = [f"{title}: {ours.figure}", head, f"{mine:.{digits}f}", f"{peer.subject} {theirs:.{digits}f}"]
    cells += [f"{times:.3g} x", "" if limit is None else f"{limit:.{digits}f}"]
    return ["| " + " | ".join(cells) + " |"]
