"""Writes what the code knows about itself into the documentation: docs/reference/*.md and two parts of README.md.

python -m tools.reference           write them again
python -m tools.reference --check   change nothing; exit code 1 and the names of those that are stale
"""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MADE = "<!-- Written by `make docs` from {source}; do not edit here. -->\n\n"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: object) -> str:
    """Text as Markdown code; nothing for nothing."""
    return f"`{text}`" if text not in ("", None) else ""


def settings_table() -> str:
    """Every setting of the server."""
    from limner.settings import Settings

    rows = [(code(row.variable), row.default, row.help) for row in Settings.describe()]
    return table(("variable", "default", "meaning"), rows)


def settings_page() -> str:
    """docs/reference/settings.md."""
    return (
        MADE.format(source="src/limner/settings.py")
        + "# Settings\n\n"
        + "A flag of `limner serve` beats the environment, which beats `config.toml`, which beats the default. In the "
        "file a setting has the variable's name without `LIMNER_`, in small letters: `port = 8080`. The file lies in "
        "your folder for settings (`~/.config/limner/config.toml` on Linux), or where `LIMNER_CONFIG` says. A name "
        "that is not known is an error that shows the nearest one that is.\n\n" + settings_table()
    )


def errors_page() -> str:
    """docs/reference/errors.md."""
    from limner import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LimnerError)]
    rows = [
        (
            code(kind.__name__),
            "" if kind in (errors.ConnectionFailedError, errors.PortTakenError) else kind.status,
            code(kind.type),
            code(kind.default_code),
            kind.exit_code,
            (kind.__doc__ or "").splitlines()[0],
        )
        for kind in kinds
        if kind is not errors.LimnerError
    ]
    return (
        MADE.format(source="src/limner/errors.py")
        + "# Errors\n\n"
        + 'Every answer that is not a success is `{"error": {"message", "type", "param", "code"}}`, always with these '
        "four keys. `message` is a sentence for a person; `param` is the field that is wrong, or null; `code` is for "
        "programs. The Python client raises the class that the server raised. All are `limner.LimnerError`. An error "
        "may carry a more exact `code` than its class has by default, such as `integer_above_max_value`.\n\n"
        + table(("class", "status", "type", "code", "exit code", "meaning"), rows)
        + "\nThe command line also ends with 3 when the server could not start and with 130 when it was interrupted. "
        "429 and 503 carry `Retry-After`, in seconds.\n"
    )


def request_page() -> str:
    """docs/reference/request.md."""
    from limner.server.fields import EDIT_FIELDS, FIELDS

    further = [(code(field.name), field.type, field.about) for field in EDIT_FIELDS if field not in FIELDS]
    rows = [
        (code(field.name), field.type, field.about, ", ".join(code(alias) for alias in field.aliases))
        for field in FIELDS
        if not field.ignored
    ]
    ignored = ", ".join(code(field.name) for field in FIELDS if field.ignored)
    return (
        MADE.format(source="src/limner/server/fields.py")
        + "# The request\n\n"
        + "`POST /v1/images/generations` takes a JSON object. Only `prompt` must be there; `null` means absent in "
        "every field. Two names for one field that differ in value are an error.\n\n"
        + table(("field", "type", "meaning", "also called"), rows)
        + f"\nAccepted without effect, and named in the answer's header `x-limner-ignored`: {ignored}, and fields that "
        "nobody knows. With `LIMNER_STRICT=true` unknown fields are refused.\n"
        "\n## Edits and variations\n\n`POST /v1/images/edits` takes all of these, as a form or as JSON, and `image` "
        "(or `image[]`, or `images` in JSON) and `mask`; see [edits](../guides/edits.md). Variations need no "
        "prompt and take no mask and no `input_fidelity`.\n\n" + table(("field", "type", "meaning"), further)
    )


def catalogue_table() -> str:
    """The models that can be pulled by name."""
    from limner.models.catalog import GIGABYTE, catalogue

    def gigabytes(size: int) -> str:
        return f"{size / GIGABYTE:g}" if size else ""

    rows = [
        (
            code(row.name),
            f"{row.repository} at {code(row.revision[:12])}"
            if row.revision
            else f"{row.repository}, pinned when pulled",
            row.licence + (", gated" if row.gated else ""),
            ", ".join(row.abilities),
            gigabytes(row.download),
            f"{gigabytes(row.memory)} / {gigabytes(row.memory_offloaded)}",
        )
        for row in catalogue().rows.values()
    ]
    return table(("name", "repository", "licence", "abilities", "download", "memory"), rows)


def models_page() -> str:
    """docs/reference/models.md, from the card of the embedded model and the aliases."""
    from limner.registry import ALIASES, load_engine

    (card,) = load_engine("mini").cards()
    qualities = ", ".join(f"{name} {steps}" for name, steps in card.quality_steps.items())
    rows: list[tuple[str, object]] = [
        ("what it is", card.about),
        ("licence", card.licence),
        ("own size", card.native),
        ("sizes", f"any width and height from {card.min_side} to {card.max_side} pixels"),
        ("pictures in a request", f"1 to {card.max_n}"),
        ("steps by quality", f"{qualities}; {card.default_quality} by default, {card.max_steps} at most"),
        ("guidance", f"{card.default_guidance} by default, {card.max_guidance} at most"),
    ]
    aliases = [(code(name), ", then ".join(code(choice) for choice in choices)) for name, choices in ALIASES.items()]
    return (
        MADE.format(source="the model cards and src/limner/registry.py")
        + f"# Models\n\n## {card.id}\n\n"
        + table(("", ""), rows)
        + "\n## What can be pulled\n\nBy `limner pull NAME`; see [real models](../guides/real-models.md). GB are 10^9 "
        "bytes, rounded: the download, and the memory with everything on the card and with only the part at work "
        "there.\n\n"
        + catalogue_table()
        + "\n## Names that programs have hard-coded\n\n"
        + "Each is answered by the best FLUX model that is pulled and fits, else by the first model of its list. "
        "Every answer says which that was: "
        "`model` in the body and the header `x-limner-model`.\n\n" + table(("name", "answered by"), aliases)
    )


def command_page() -> str:
    """docs/reference/command-line.md, from the commands themselves."""
    import typer.main

    from limner.cli import app

    root: Any = typer.main.get_command(app)
    parts = [MADE.format(source="src/limner/cli.py"), "# The command line\n\n", f"{root.help}\n\n"]
    for name, command in root.commands.items():
        arguments = "".join(f" {param.name.upper()}" for param in command.params if param.param_type_name == "argument")
        parts.append(f"## limner {name}{arguments}\n\n{command.help}\n\n")
        rows = [
            (", ".join(code(option) for option in param.opts), param.help or "")
            for param in command.params
            if param.param_type_name == "option"
        ]
        parts.append(table(("option", "meaning"), rows) + "\n")
    parts.append(
        "Exit codes are in [errors.md](errors.md). Data goes to standard output, all else to standard error.\n"
    )
    return "".join(parts)


def results() -> list[dict[str, Any]]:
    """What `make bench` left that may be published, in its own order."""
    from bench.run import BENCHES

    paths = [ROOT / "bench" / "results" / f"{name}.json" for name in BENCHES]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def figures() -> str:
    """The short table: each figure's first column, ours beside the first peer and the limit."""
    from bench.report import short

    found = results()
    if not found:
        return "No figures have been measured on a quiet machine yet; `make bench` measures them on yours.\n"
    return short(found) + "\n"


def figures_page() -> str:
    """docs/reference/figures.md: every result, its aims, and what bench/remarks.md says of those missed."""
    from bench.report import page

    written = (ROOT / "bench" / "remarks.md").read_text(encoding="utf-8")
    remarks = {name: text.strip() for name, text in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", written, re.M | re.S)}
    parts = [
        MADE.format(source="bench/results and bench/remarks.md"),
        "# Figures\n\nEach can be measured again with `make bench ARGS=NAME`; how is in "
        "[bench/README.md](../../bench/README.md). A cell holds the median of the rounds, the distance between their "
        "quartiles in brackets, and how many times ours that is: of a rate, how many times faster ours is.\n\n",
    ]
    for result in results():
        parts.append(f"## {result['title']}\n\n`make bench ARGS={result['name']}`\n\n{page(result)}\n\n")
        parts += [f"{remarks[result['name']]}\n\n"] if remarks.get(result["name"]) else []
    return "".join(parts).rstrip() + "\n"


def filled(text: str, name: str, content: str) -> str:
    """`text` with what stands between `<!-- name -->` and `<!-- /name -->` replaced."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"README.md has no part <!-- {name} -->")
    return pattern.sub(lambda match: f"{match[1]}\n{content}\n{match[2]}", text)


def pages() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    folder, readme = ROOT / "docs" / "reference", ROOT / "README.md"
    text = filled(readme.read_text(encoding="utf-8"), "settings", settings_table())
    return {
        folder / "settings.md": settings_page(),
        folder / "errors.md": errors_page(),
        folder / "request.md": request_page(),
        folder / "models.md": models_page(),
        folder / "command-line.md": command_page(),
        folder / "figures.md": figures_page(),
        readme: filled(text, "figures", figures()),
    }


def main(arguments: Sequence[str]) -> int:
    """Write or check; the exit code."""
    stale = 0
    for path, content in pages().items():
        if path.exists() and path.read_text(encoding="utf-8") == content:
            continue
        stale += 1
        name = path.relative_to(ROOT)
        if "--check" in arguments:
            print(f"{name} is stale; run make docs", file=sys.stderr)
        else:
            path.write_text(content, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
