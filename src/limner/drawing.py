"""Where the command line has its pictures drawn: at a server, or in this process by the same Studio as a server's."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any, cast

from limner.engine import check_complete
from limner.errors import InvalidRequestError
from limner.types import Image, Progress, Size

if TYPE_CHECKING:
    from limner.models.gallery import Gallery
    from limner.picture import Picture
    from limner.settings import Settings
    from limner.studio import Studio

# Called with the steps done and the steps in all.
Told = Callable[[int, int], None]


def place(server: str | None, local: bool) -> str | None:
    """The base URL of the server that draws, or None where this process does.

    A named server is taken as it is; else one that answers at the base URL of the environment, or the default one.

    Raises:
        InvalidRequestError: both a server and this process were asked for, or the server's URL is none.
    """
    if server and local:
        raise InvalidRequestError("--server and --local exclude each other: say one.", param="local")
    if local:
        return None
    from limner.client import Client

    with Client(server) as client:
        return client.base_url if server or client.answers() else None


def studio_of(settings: "Settings", gallery: "Gallery | None" = None) -> "Studio":
    """The Studio of this machine, not yet opened. `gallery`: the pulled models, if they were looked at already."""
    from limner.models.gallery import Gallery
    from limner.registry import load_engine
    from limner.studio import Studio

    engine = load_engine("mini", threads=settings.threads)
    return Studio.configured([engine], settings, gallery or Gallery.configured(settings))


def draw(server: str | None, prompt: str, wishes: Mapping[str, Any], *, progress: bool) -> "list[Picture]":
    """Draw at the server with this base URL, or here where it is None.

    `wishes` are those of `Client.generate`. `progress`: show a bar on stderr.

    Raises:
        LimnerError: as `Client.generate`, or as `Studio.generate`.
    """
    with _bar(progress) as told:
        if server is None:
            return asyncio.run(_draw_here(prompt, wishes, told))
        from limner.client import Client

        with Client(server) as client:
            return client.generate(prompt, **wishes)


def models(server: str | None) -> list[dict[str, Any]]:
    """Every name that a request may use, and the model that answers to it.

    Raises:
        LimnerError: as `Client.models`.
    """
    if server is None:
        from limner.settings import Settings

        return [
            _row(name, card.id, card.licence, card.native, card.weights)
            for name, card in studio_of(Settings.load()).names().items()
        ]
    from limner.client import Client

    with Client(server) as client:
        return [_entry(entry) for entry in client.models()]


def _entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    # Other servers of the images API tell a name only.
    card = cast(Mapping[str, Any], entry.get("limner") or {})
    name = str(entry.get("id"))
    native = card["sizes"]["native"] if card else None
    return _row(name, card.get("served_by", name), card.get("licence", ""), native, card.get("weights", ""))


def _row(name: str, served_by: str, licence: str, native: object, weights: str) -> dict[str, Any]:
    size = str(native) if native else None
    return {"id": name, "served_by": served_by, "licence": licence, "native": size, "weights": weights}


async def _draw_here(prompt: str, wishes: Mapping[str, Any], told: Told) -> "list[Picture]":
    from limner.settings import Settings

    rest = dict(wishes)
    studio = studio_of(Settings.load())
    # What is wrong with the wish is told before anything is loaded.
    request = studio.request(rest.pop("model", None), prompt, rest)
    studio.preload()
    from limner.picture import Picture

    pictures: list[Picture] = []
    async with studio, contextlib.aclosing(studio.generate(request)) as events:
        async for event in events:
            if isinstance(event, Progress):
                told(event.step, event.total)
            elif isinstance(event, Image):
                size = Size(width=event.width, height=event.height)
                pictures.append(Picture(bytes=event.data, seed=event.seed, model=request.model, size=size))
    check_complete(request, len(pictures))
    return pictures


@contextlib.contextmanager
def _bar(shown: bool) -> Generator[Told]:
    if not shown:
        yield lambda step, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Drawing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # It moves without a count until the first step is told; a server tells none.
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda step, total: progress.update(task, completed=step, total=total)
