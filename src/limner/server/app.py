"""The application: routes, layers, and the life of what it was given."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from limner import __version__
from limner.errors import LimnerError, NotReadyError
from limner.fetching import Fetcher
from limner.models.gallery import Gallery
from limner.server import admin, docs, edits, files, images, media, metrics, models, records, schema
from limner.server.context import Context, Here, Life
from limner.server.guard import BodyLimit
from limner.server.origins import Origins
from limner.server.problems import Edge, add_handlers, answer
from limner.settings import Settings
from limner.store import ImageStore
from limner.studio import Studio

log = logging.getLogger(__name__)
# Seconds between two looks for pictures that are old.
SWEEP_EVERY = 300.0
router = APIRouter(tags=["state"])


def create_app(studio: Studio, store: ImageStore, settings: Settings, gallery: Gallery | None = None) -> FastAPI:
    """The ASGI application. Its lifespan opens and closes `studio` and sweeps `store`. `gallery`: the studio's guests.

    Raises:
        InvalidRequestError: the key file in `settings` cannot be used.
    """
    fetcher = Fetcher(settings.fetch_hosts, max_bytes=settings.max_upload)
    here = Context(
        studio=studio,
        store=store,
        settings=settings,
        key=settings.key(),
        life=Life(),
        fetcher=fetcher,
        admin=settings.admin(),
        gallery=gallery,
    )
    app = FastAPI(
        title="Limner",
        version=__version__,
        description="Pictures from prompts, in the images API that programs already speak.",
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        lifespan=_lifespan,
        # Our own page serves the description: the framework's loads scripts from another site.
        docs_url=None,
        redoc_url=None,
        # A redirect is built from the Host header and drops the body in some clients; routes name both spellings.
        redirect_slashes=False,
        # Outermost first.
        middleware=[
            Middleware(Edge),
            Middleware(Origins, settings, has_key=here.key is not None),
            Middleware(
                BodyLimit,
                max_body=settings.max_body,
                larger=dict.fromkeys((*edits.ENDINGS, files.ENDING), settings.max_upload),
                stall=settings.body_timeout,
            ),
        ],
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.limner = here
    add_handlers(app)
    for part in (images, edits, files, records, models, admin, media, metrics, docs):
        app.include_router(part.router)
    app.include_router(router)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    here: Context = app.state.limner
    async with contextlib.AsyncExitStack() as exits:
        try:
            await exits.enter_async_context(here.studio)
        except LimnerError as error:
            here.life.failure = error
            raise
        exits.callback(here.reader.close)
        # Neither keeps the server from being ready.
        beside = [asyncio.create_task(_sweep(here)), asyncio.create_task(here.studio.warm_up())]
        try:
            yield
        finally:
            here.life.draining = True
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


async def _sweep(here: Context) -> None:
    while True:
        try:
            swept = await run_in_threadpool(here.store.sweep, here.settings.picture_ttl)
        # A folder that cannot be read now may be readable in five minutes.
        except (LimnerError, OSError):
            log.warning("old pictures could not be deleted", exc_info=True)
        else:
            if swept:
                log.info("deleted %d old pictures", swept)
        await asyncio.sleep(SWEEP_EVERY)


@router.get("/health", summary="The process answers", responses={200: {"model": schema.Health}, **schema.problems()})
@router.head("/health", include_in_schema=False)
async def health() -> dict[str, str]:
    """Always 200 while the process can answer at all; see /ready for whether it takes work."""
    return {"status": "ok"}


@router.get("/ready", summary="The server takes work", responses={200: {"model": schema.Ready}, **schema.problems()})
@router.head("/ready", include_in_schema=False)
async def ready(here: Here) -> Response:
    """200 when requests are taken, 503 while starting and stopping."""
    card = here.studio.card(None)
    state: dict[str, Any] = {
        "status": "ready",
        "model": card.id,
        "queue": {
            "waiting": here.studio.waiting,
            "max": here.settings.max_queue,
            "seconds": round(here.studio.wait, 1),
            "max_seconds": here.settings.max_wait,
        },
    }
    if here.life.draining:
        return answer(
            NotReadyError("The server is stopping.", code="draining", retry_after=2), state | {"status": "draining"}
        )
    if not here.studio.ready:
        return answer(NotReadyError("The server is starting.", retry_after=1), state | {"status": "starting"})
    return JSONResponse(state)


@router.get("/", include_in_schema=False)
async def root() -> Response:
    """Nothing lives here yet but the way to the description."""
    return RedirectResponse("/docs")
