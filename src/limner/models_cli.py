"""The commands about models: pull, list, show, rm on this machine's files; ps and stop at a running server."""

import contextlib
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limner import delivery
from limner.errors import AuthenticationError, ConnectionFailedError, HubError, InvalidRequestError, from_response

if TYPE_CHECKING:
    from limner.models.pull import Offer, Step
    from limner.models.shelf import Pulled, Shelf
    from limner.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Server = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this server; else the one at LIMNER_BASE_URL, or port 1337.")
]
Model = Annotated[str, typer.Argument(metavar="NAME", help="Name of a pulled model.", show_default=False)]


def pull(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name of the catalogue, OWNER/NAME[@REVISION] of the hub, or your own folder or .safetensors file.",
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option(help="What requests will call it.")] = None,
    variant: Annotated[
        str | None,
        typer.Option(help="Which of several sets of weights, such as fp16; the catalogue knows for its own."),
    ] = None,
    pipeline: Annotated[str | None, typer.Option(help="For a .safetensors file: the pipeline class it is for.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="For a .safetensors file: a folder with its pipeline's settings and tokenizers.")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Say yes to the model's licence, which is shown.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Bring a model to this machine. Cut off, it goes on from there the next time; every hash is checked."""
    from limner.models.adopt import adopt

    settings, shelf = _shelf()
    if Path(model).is_dir() or model.endswith(".safetensors"):
        kept = adopt(Path(model), shelf, name=name, variant=variant or "", pipeline=pipeline or "", config=config)
    elif pipeline or config:
        raise InvalidRequestError("--pipeline and --config are for a .safetensors file.", param="pipeline")
    else:
        kept = _from_hub(model, settings, shelf, name=name, variant=variant, accepted=accept_licence, quiet=quiet)
    if json:
        delivery.say_json(kept.told())
        return
    delivery.say(kept.name)
    why = _machine(settings).why_not(kept)
    if why and not quiet:
        delivery.note(f"limner: warning: it cannot run here yet: {why}.")


def list_models(
    catalogue: Annotated[bool, typer.Option("--catalogue", help="List what can be pulled by name, too.")] = False,
    json: Json = False,
) -> None:
    """List the pulled models, and whether they can run here."""
    from limner.models.catalog import catalogue as known

    settings, shelf = _shelf()
    machine = _machine(settings)
    here = shelf.all()
    rows: list[dict[str, Any]] = [
        {**kept.told(), "state": "ready" if not machine.why_not(kept) else "cannot run", "why": machine.why_not(kept)}
        for kept in here.values()
    ]
    if catalogue:
        rows += [
            {"name": row.name, "repository": row.repository, "bytes": row.download, "licence": row.licence,
             "state": "not pulled", "why": "", "gated": row.gated}
            for row in known().rows.values() if row.name not in here
        ]  # fmt: skip
    if json:
        delivery.say_json({"models": rows})
        return
    if not rows:
        delivery.note("Nothing is pulled. `limner list --catalogue` shows what can be, such as `limner pull flux`.")
        return
    columns = [(r["name"], size(r["bytes"]), r["licence"], r["state"], r["repository"] or r["folder"]) for r in rows]
    delivery.table([("NAME", "SIZE", "LICENCE", "STATE", "FROM"), *columns])
    for why in {r["why"] for r in rows} - {""}:
        delivery.note(f"limner: {why}.")


def show(model: Model, json: Json = False) -> None:
    """Show what is known of a model, pulled or of the catalogue."""
    from dataclasses import asdict

    from limner.models.catalog import catalogue

    settings, shelf = _shelf()
    row = catalogue().rows.get(model)
    told: dict[str, Any] = {}
    if model in shelf.all() or row is None:
        kept = shelf.get(model)
        row = row or (catalogue().of_repository(kept.repository) if kept.repository else None)
        told = {"state": "pulled", "why_not": _machine(settings).why_not(kept), **kept.told()}
    if row is not None:
        told = {**asdict(row), "state": "not pulled"} | told
    if json:
        delivery.say_json(told)
        return
    delivery.table([(key, str(value)) for key, value in told.items() if value not in ("", None)])


def rm(model: Model, quiet: Quiet = False) -> None:
    """Remove a pulled model and its files; a folder of your own is only forgotten."""
    _, shelf = _shelf()
    freed = shelf.remove(model)
    delivery.say(model)
    if not quiet:
        delivery.note(f"Removed; {size(freed) or 'nothing'} freed.")


def ps(json: Json = False, server: Server = None) -> None:
    """List the models that a running server has in memory."""
    from limner.client import Client

    with Client(server) as client:
        cards: dict[str, dict[str, Any]] = {entry["id"]: entry.get("limner") or {} for entry in client.models()}
    states: dict[str, dict[str, Any]] = {
        name: card.get("state") or {} for name, card in cards.items() if card.get("served_by") == name
    }
    running: list[dict[str, Any]] = [{"name": name, **state} for name, state in states.items() if state.get("loaded")]
    if json:
        delivery.say_json({"models": running})
        return
    rows = [
        (r["name"], size(r["memory"]), str(r["requests"]), "in use" if r["requests"] else f"{r['unload_in']:.0f} s")
        for r in running
    ]
    delivery.table([("NAME", "MEMORY", "REQUESTS", "UNLOADED IN"), *rows])


def stop(model: Model, server: Server = None) -> None:
    """Take a model out of a running server's memory. Needs the server's LIMNER_ADMIN_KEY here, too."""
    settings, _ = _shelf()
    _unload(model, server, settings.admin())
    delivery.say(model)


def _unload(name: str, server: str | None, key: str | None) -> None:
    """Take a model out of the server's memory.

    Raises:
        AuthenticationError: there is no admin key here, or the server has another.
        ConnectionFailedError: nothing answers.
        ModelNotFoundError: the server does not know the model.
    """
    from urllib.parse import quote

    import httpx2

    from limner.client import Client

    if key is None:
        raise AuthenticationError(
            "Stopping a model needs the admin key: start the server with LIMNER_ADMIN_KEY, and set it here to the same."
        )
    with Client(server) as client:
        base = client.base_url.removesuffix("/v1")
        shown = client.shown_url
    try:
        url = f"{base}/admin/models/{quote(name, safe='')}/stop"
        answer = httpx2.post(url, headers={"authorization": f"Bearer {key}"}, timeout=60, trust_env=False)
    except httpx2.RequestError as error:
        raise ConnectionFailedError(f"Nothing answers at {shown}; start a server with `limner serve`.") from error
    if not answer.is_success:
        try:
            body: object = answer.json()
        except ValueError:
            body = None
        raise from_response(answer.status_code, body, request_id=answer.headers.get("x-request-id"))


def size(number: int) -> str:
    """Bytes for people; "" for none."""
    for unit, each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= each:
            return f"{number / each:.1f} {unit}"
    return f"{number} B" if number else ""


def _shelf() -> "tuple[Settings, Shelf]":
    from limner.models.shelf import Shelf
    from limner.settings import Settings

    settings = Settings.load()
    return settings, Shelf(settings.models_lock)


def _from_hub(
    model: str,
    settings: "Settings",
    shelf: "Shelf",
    *,
    name: str | None,
    variant: str | None,
    accepted: bool,
    quiet: bool,
) -> "Pulled":
    from limner.models import hub
    from limner.models.catalog import catalogue
    from limner.models.pull import choice_of_alias, here_already, offer, pull

    if model in catalogue().aliases:
        model = choice_of_alias(model, _machine(settings))
    found = here_already(model, shelf, name)
    if found is None and hub.offline():
        raise HubError(
            f"{model} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it; unset it to pull.", code="offline"
        )
    if found is not None and (hub.offline() or found.pinned != "pull"):
        if not quiet:
            delivery.note(f"{found.name} is here already, and its files are right.")
        return found
    offered = offer(model, name=name, variant=variant)
    accepted = _agreed(offered, accepted, quiet)
    with _bar(offered, shown=sys.stderr.isatty() and not quiet) as told:
        return pull(offered, shelf, accepted=accepted, told=told)


def _machine(settings: "Settings") -> Any:
    from limner.models.machine import look

    return look(settings.device, settings.model_memory)


def _agreed(offered: "Offer", accepted: bool, quiet: bool) -> bool:
    """Show the licence; ask where somebody is there to answer."""
    if not quiet:
        known = {"catalogue": "as the catalogue names it", "pull": "what the hub has now; the lock keeps it"}
        delivery.note(
            f"{offered.name}: {offered.listing.repository} at {offered.listing.commit} "
            f"({known.get(offered.pinned, 'as you said')}), {size(offered.choice.size)}\n"
            f"licence: {offered.licence or 'none named'}, {offered.listing.terms}"
        )
        if offered.choice.left:
            delivery.note(f"left at the hub: {len(offered.choice.left)} files that the pipeline does not read")
    if accepted or not offered.must_accept or not sys.stdin.isatty():
        return accepted
    return typer.confirm("Do you accept this licence?", err=True)


@contextlib.contextmanager
def _bar(offered: "Offer", *, shown: bool) -> "Generator[Callable[[Step], None]]":
    if not shown:
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=offered.choice.size)
        yield lambda step: progress.update(task, completed=step.done, description=step.path[-40:])
