"""The command line. Data goes to standard output, everything for people to standard error.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 the server could not start; 4 key missing or wrong; 5 not found;
6 queue full; 7 no server reached; 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from limner import __version__, delivery, models_cli
from limner.errors import InvalidRequestError, LimnerError

app = typer.Typer(
    name="limner",
    help="Make pictures from words: a server of the images API, and a client for it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Server = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this server; else one that answers at LIMNER_BASE_URL, if any.")
]
Local = Annotated[bool, typer.Option("--local", help="Draw in this process, whatever server is running.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE", help="File or folder to write to; - is standard output."),
]


def _version(wanted: bool) -> None:
    if wanted:
        delivery.say(f"limner {__version__}")
        raise typer.Exit


@app.callback()
def limner(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Make pictures from words: a server of the images API, and a client for it."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 is this machine only.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 1337 by default, 0 is any free one.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder that pictures behind a URL are kept in.")] = None,
    api_key_file: Annotated[Path | None, typer.Option(help="File that holds the key clients must send.")] = None,
    max_queue: Annotated[
        int | None, typer.Option(help="Requests that may wait, however short, before others are refused.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the engine; all cores by default.")] = None,
    public_base_url: Annotated[str | None, typer.Option(help="What picture URLs begin with, behind a proxy.")] = None,
    insecure_public_bind: Annotated[
        bool, typer.Option("--insecure-public-bind", help="Listen beyond this machine without a key.")
    ] = False,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    open_docs: Annotated[bool, typer.Option("--open", help="Open the API's page in the browser.")] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="List all settings and their variables, and exit.")
    ] = False,
) -> None:
    """Start the server, until Ctrl+C. Settings not listed here are set by LIMNER_* variables or config.toml."""
    from limner.settings import Settings

    if settings:
        told = [(row.variable, row.default, row.help) for row in Settings.describe()]
        delivery.table([("VARIABLE", "DEFAULT", "MEANING"), *told])
        return
    loaded = Settings.load(
        host=host,
        port=port,
        pictures=pictures,
        api_key_file=api_key_file,
        max_queue=max_queue,
        threads=threads,
        public_base_url=public_base_url,
        insecure_public_bind=insecure_public_bind or None,
        log_level=log_level,
    )
    from limner.drawing import studio_of
    from limner.models.gallery import Gallery

    gallery = Gallery.configured(loaded)
    studio = studio_of(loaded, gallery)
    # Importing the server takes as long as loading the model, and they need different cores.
    studio.preload()
    from limner.server.app import create_app
    from limner.server.run import run
    from limner.store import FileStore

    def started(url: str) -> None:
        names = studio.names()
        pulled = [name for name in names if gallery.resident(name)]
        _greet(url, loaded.pictures, has_key=loaded.key() is not None, pulled=pulled, flux=names["flux"].id)
        if open_docs:
            typer.launch(f"{url}/docs")

    run(create_app(studio, FileStore(loaded.pictures), loaded, gallery), loaded, started=started)


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw.", show_default=False)],
    output: Output = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Name of the model; see `limner models`.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same picture.")] = None,
    size: Annotated[str | None, typer.Option(help="Pixels, such as 512x512.")] = None,
    n: Annotated[
        int | None, typer.Option("-n", help="How many pictures, with seeds that follow on each other.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow the prompt; 1 is no guidance.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to keep away from.")] = None,
    quality: Annotated[str | None, typer.Option(help="low, medium or high: how many steps.")] = None,
    format: Annotated[str | None, typer.Option("--format", help="png, jpeg or webp.")] = None,
    background: Annotated[str | None, typer.Option(help="opaque or transparent.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    server: Server = None,
    local: Local = False,
) -> None:
    """Draw a picture. Prints the paths of the files."""
    wishes = {
        "model": model,
        "n": n,
        "size": size,
        "seed": seed,
        "quality": quality,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "negative_prompt": negative,
        "output_format": delivery.output_format(output, format, n or 1),
        "background": background,
    }
    _make(prompt, wishes, output, json=json, quiet=quiet, server=server, local=local)


@app.command()
def again(
    picture: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, readable=True, help="A PNG that Limner made.", show_default=False),
    ],
    output: Output = None,
    json: Json = False,
    quiet: Quiet = False,
    server: Server = None,
    local: Local = False,
) -> None:
    """Make the same picture again, byte for byte, from the recipe in it."""
    from limner import codecs

    data = picture.read_bytes()
    made = codecs.read_recipe(data)
    wishes = {**codecs.wishes_of(made), "model": made["model"]}
    delivery.output_format(output, wishes["output_format"], 1)
    prompt = wishes.pop("prompt")
    new = _make(prompt, wishes, output, json=json, quiet=quiet, server=server, local=local)
    if new == data:
        if not quiet:
            delivery.note(f"The same bytes as {picture}.")
        return
    try:
        now = codecs.read_recipe(new)
    except InvalidRequestError:
        now = dict[str, Any]()
    delivery.note(f"limner: warning: not the same bytes as {picture}{_why_not_same(made, now)}.")


@app.command()
def models(json: Json = False, server: Server = None, local: Local = False) -> None:
    """List the models and the names that they answer to."""
    from limner import drawing

    where = drawing.place(server, local)
    found = drawing.models(where)
    if json:
        delivery.say_json({"server": where, "models": found})
        return
    rows = [(m["id"], m["served_by"], m["licence"], m["native"] or "") for m in found]
    delivery.table([("NAME", "SERVED BY", "LICENCE", "SIZE"), *rows])


@app.command()
def doctor(json: Json = False) -> None:
    """Look at this installation, and say what is wrong and how to mend it."""
    from limner import diagnosis

    checks = diagnosis.examine()
    well = all(check.ok for check in checks)
    if json:
        delivery.say_json({"ok": well, "checks": [check.told() for check in checks]})
    else:
        for check in checks:
            delivery.say(f"{'ok ' if check.ok else 'BAD'}  {check.name:<10} {check.detail}")
            if check.fix:
                delivery.say(f"     {'':<10} {check.fix}")
    raise typer.Exit(0 if well else 1)


app.command("pull")(models_cli.pull)
app.command("list")(models_cli.list_models)
app.command("show")(models_cli.show)
app.command("rm")(models_cli.rm)
app.command("ps")(models_cli.ps)
app.command("stop")(models_cli.stop)


def main() -> None:
    """The program: run a command; every error that Limner knows is one line on stderr and an exit code."""
    try:
        app()
    except LimnerError as error:
        request = f" (request {error.request_id})" if error.request_id else ""
        delivery.note(f"limner: {error.message}{request}")
        sys.exit(error.exit_code)


def _make(
    prompt: str, wishes: dict[str, Any], output: str | None, *, json: bool, quiet: bool, server: str | None, local: bool
) -> bytes:
    """Draw, deliver and tell; the bytes of the first picture."""
    from limner import drawing

    if json and output == delivery.STDOUT:
        raise InvalidRequestError("--json and -o - both want standard output: say one.", param="output")
    where = drawing.place(server, local)
    if not quiet:
        delivery.note(f"Drawing {'in this process' if where is None else f'at {where}'}.")
    drawn = drawing.draw(where, prompt, wishes, progress=sys.stderr.isatty() and not quiet)
    asked, model = wishes.get("model"), drawn[0].model
    if asked and model and asked != model and not quiet:
        delivery.note(f"{asked} is answered by {model} here.")
    if output == delivery.STDOUT:
        delivery.pipe(drawn[0].bytes)
        return drawn[0].bytes
    paths = delivery.save(drawn, prompt, output)
    if json:
        files = [delivery.describe(picture, path) for picture, path in zip(drawn, paths, strict=True)]
        delivery.say_json({"server": where, "model": model, "prompt": prompt, "pictures": files})
        return drawn[0].bytes
    if not quiet:
        delivery.show(drawn)
    for path in paths:
        delivery.say(str(path))
    return drawn[0].bytes


def _why_not_same(made: dict[str, Any], now: dict[str, Any]) -> str:
    names = {"limner": "Limner's version", "weights": "the weights"}
    told = [
        f"{text} was {made.get(key)} and is {now[key]}"
        for key, text in names.items()
        if now.get(key, made.get(key)) != made.get(key)
    ]
    return f": {', '.join(told)}" if told else ""


def _greet(url: str, pictures: Path, *, has_key: bool, pulled: list[str], flux: str) -> None:
    key = "every request needs the key" if has_key else "no key is needed"
    models = "limner-mini, a small model of our own; it answers to flux too, but is not FLUX"
    if pulled:
        models = f"limner-mini, {', '.join(pulled)}; flux is answered by {flux}"
    delivery.note(
        f"Limner {__version__} is ready at {url}\n"
        f"  API        {url}/v1/images/generations, {key}\n"
        f"  docs       {url}/docs\n"
        f"  pictures   {pictures}\n"
        f"  models     {models}\n"
        f"  stop       Ctrl+C"
    )
