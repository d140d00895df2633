"""The server process: uvicorn with our limits, a clear word when the port is taken, an end without broken answers."""

import errno
import logging
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from limner.errors import PortTakenError
from limner.hosts import local_url
from limner.server.context import Context
from limner.server.guard import guarded
from limner.settings import Settings

log = logging.getLogger(__name__)
# Seconds that uvicorn gets to close connections once all work is done or given up.
CLOSING = 5


class Server(uvicorn.Server):
    """uvicorn, which on a signal first lets the application say no to new work and yes to what it has begun.

    It listens from the moment it is made, so that a taken port is told before anything is loaded.
    """

    def __init__(self, app: FastAPI, settings: Settings, *, started: Callable[[str], None] | None = None) -> None:
        """Raises PortTakenError."""
        super().__init__(_config(app, settings))
        here: Context = app.state.limner
        self.life = here.life
        self.listeners = _listen(settings)
        self.url = local_url(*self.listeners[0].getsockname()[:2])
        self._grace = settings.shutdown_grace
        self._tell = started
        self._deadline = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._tell is not None:
            self._tell(self.url)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not super(): it refuses connections at once, and raises the signal again at the end.
        if self.life.draining:
            # The second signal ends the patience with running work, the third ends everything.
            self.should_exit = self.force_exit = self._deadline == 0.0
            self._deadline = 0.0
            return
        log.info("stopping; %d requests are being worked on", self.life.in_flight)
        self._deadline = time.monotonic() + self._grace
        self.life.draining = True

    async def on_tick(self, counter: int) -> bool:
        if self.life.draining and not self.should_exit:
            if self.life.in_flight and time.monotonic() >= self._deadline:
                # Each ends with a 503 that says so; they are gone at a later tick.
                self.life.over.set()
            self.should_exit = not self.life.in_flight
        return await super().on_tick(counter)

    def close_listeners(self) -> None:
        """Free the port. uvicorn does so too when it ends well."""
        for listener in self.listeners:
            listener.close()


def run(app: FastAPI, settings: Settings, *, started: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain: /ready turns to 503, running requests end, and this returns.

    A second signal ends the running requests within a step, with 503; a third ends at once. `started` is called with
    the base URL when requests are taken.

    Raises:
        PortTakenError: the port or the address is not free; its `exit_code` is 3.
        LimnerError: the studio could not be opened.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    # Its lines repeat ours, and "Invalid HTTP request received." is the internet's noise.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    server = Server(app, settings, started=started)
    try:
        server.run(server.listeners)
    except SystemExit:
        # uvicorn's way to say that the lifespan failed; what it was says more.
        if server.life.failure is not None:
            raise server.life.failure from None
        raise
    finally:
        server.close_listeners()


def _config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=guarded(settings.header_timeout, settings.answer_timeout),
        loop="auto" if sys.platform == "win32" else "uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # X-Forwarded-* change nothing but picture URLs, and only where `trust_proxy` says so.
        proxy_headers=False,
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=CLOSING,
    )


def _listen(settings: Settings) -> list[socket.socket]:
    """Sockets bound before anything is loaded, so that a taken port is told at once."""
    bare = settings.host.removeprefix("[").removesuffix("]")
    found: list[socket.socket] = []
    port = settings.port
    try:
        for family, _, _, _, address in socket.getaddrinfo(
            bare or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            if family not in (socket.AF_INET, socket.AF_INET6):
                continue
            try:
                listener = socket.create_server((str(address[0]), port), family=family, backlog=2048)
            except OSError as error:
                # "localhost" has an IPv6 address on machines whose IPv6 is off.
                if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                raise
            found.append(listener)
            # With port 0 the second address family takes the port that the first was given.
            port = listener.getsockname()[1]
        if not found:
            raise OSError(errno.EADDRNOTAVAIL, f"no address of this machine is named {settings.host}")
    except OSError as error:
        for listener in found:
            listener.close()
        raise _refusal(settings, error) from None
    return found


def _refusal(settings: Settings, error: OSError) -> PortTakenError:
    if error.errno == errno.EADDRINUSE:
        return PortTakenError(
            f"Port {settings.port} on {settings.host} is taken by another program; choose another: "
            f"limner serve --port {settings.other_port()} (or LIMNER_PORT={settings.other_port()}).",
            param="port",
        )
    return PortTakenError(f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}.", param="host")
