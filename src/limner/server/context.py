"""What every route needs, found again from a request."""

import asyncio
import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, Request

from limner.errors import LimnerError, NotFoundError, NotReadyError
from limner.fetching import Fetcher
from limner.models.gallery import Gallery
from limner.server.retries import Answers
from limner.server.traffic import Traffic
from limner.settings import Settings
from limner.store import ImageStore, Stored, missing
from limner.studio import Studio
from limner.uploads import PictureReader


@dataclass
class Life:
    """Whether the server takes work, and how much it has. The only state that changes after the start."""

    # No new work: the server is stopping.
    draining: bool = False
    # Requests that are being worked on.
    in_flight: int = 0
    # Set when the time that running requests get is over.
    over: asyncio.Event = field(default_factory=asyncio.Event)
    # Why the studio could not be opened, for the process's last words.
    failure: LimnerError | None = None

    @contextlib.contextmanager
    def at_work(self) -> Generator[None]:
        """Count a request in and out.

        Raises:
            NotReadyError: the server is stopping.
        """
        if self.draining:
            raise NotReadyError(
                "The server is stopping and takes no new work; try again in a moment.", code="draining", retry_after=2
            )
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts that `create_app` was given, and the server's life."""

    studio: Studio
    store: ImageStore
    settings: Settings
    # The key that clients must send, read once; None when none is needed.
    key: str | None
    life: Life
    # Fetches the pictures that requests name.
    fetcher: Fetcher
    # Decodes the pictures that requests bring.
    reader: PictureReader = field(default_factory=PictureReader)
    traffic: Traffic = field(default_factory=Traffic)
    # The key for managing models; None when nobody may.
    admin: str | None = None
    # The pulled models.
    gallery: Gallery | None = None
    # The answers in the making and the last ones made, for requests that come again.
    answers: Answers = field(default_factory=Answers)

    def kept(self, name: str) -> Stored:
        """The picture that is kept under `name`, with or without its extension. Blocks.

        Raises:
            NotFoundError: there is none, or it is too old.
        """
        stored = self._found(name)
        if stored.created + self.settings.picture_ttl < time.time():
            # Old enough to be swept; the next sweep may be minutes away.
            raise missing()
        return stored

    def _found(self, name: str) -> Stored:
        for each in [name] if "." in name else [f"{name}.{kind}" for kind in ("png", "jpg", "webp", "jpeg")]:
            with contextlib.suppress(NotFoundError):
                return self.store.get(each)
        raise missing()


# Not a plain function: the framework would call it on a thread, at each request.
async def _context(request: Request) -> Context:
    return cast(Context, request.app.state.limner)


Here = Annotated[Context, Depends(_context)]
