"""Which browsers' pages may call: Host names that are ours, Origins that are ours or allowed.

A page of any website can make a visitor's browser send requests to localhost. The Host rule stops names that are
re-bound to this machine; the Origin rule stops writes from other sites; CORS headers go to allowed origins only.
"""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from limner.errors import InvalidRequestError, PermissionDeniedError
from limner.hosts import HOST, is_loopback
from limner.settings import Settings

ADDRESS = re.compile(r"\[.*\]|\d+\.\d+\.\d+\.\d+")
LOCAL = ("localhost", "127.0.0.1", "[::1]")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# Headers of answers that pages of allowed origins may read.
EXPOSED = "x-request-id, x-limner-model, x-limner-ignored, x-limner-cache, x-limner-seed, x-limner-recipe, retry-after"


class Origins:
    """Refuses foreign Hosts with 400 and foreign Origins with 403; answers CORS for the allowed ones."""

    def __init__(self, app: ASGIApp, settings: Settings, *, has_key: bool) -> None:
        self.app = app
        self._allowed = settings.allowed_origins
        base = urlsplit(settings.public_base_url or "").netloc.lower()
        self._base = base
        named = [HOST.fullmatch(host.lower()) for host in (*settings.allowed_hosts, base) if host]
        self._hosts = {*LOCAL, settings.host.lower(), *(match["name"] for match in named if match)}
        public = not is_loopback(settings.host)
        # A page cannot know the key, so with one a re-bound name gains nothing; without one, addresses are safe.
        self._any_host = "*" in settings.allowed_hosts or (public and has_key and not settings.allowed_hosts)
        self._any_address = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = self._check_host(headers)
        origin = headers.get("origin")
        allowed = origin is not None and origin.lower() in self._allowed
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if (scope["method"] not in SAFE_METHODS or preflight) and not allowed:
            self._check_origin(headers, host)
        if preflight and origin is not None and allowed:
            await _preflight(origin, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and origin is not None:
                _allow(MutableHeaders(scope=message), origin)
            await send(message)

        await self.app(scope, receive, marked if allowed else send)

    def _check_host(self, headers: Headers) -> str:
        given = headers.getlist("host")
        match = HOST.fullmatch(given[0].lower()) if len(given) == 1 else None
        if match is None:
            raise InvalidRequestError("The request needs one Host header, such as localhost:1337.", code="invalid_host")
        name = match["name"]
        if not (self._any_host or name in self._hosts or (self._any_address and ADDRESS.fullmatch(name))):
            raise InvalidRequestError(
                f"This server does not answer to the Host {name[:80]!r}. If it is yours, name it in the setting "
                "allowed_hosts (LIMNER_ALLOWED_HOSTS).",
                code="invalid_host",
            )
        return match[0]

    def _check_origin(self, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is None:
            own = headers.get("sec-fetch-site", "none").lower() in ("none", "same-origin")
        else:
            own = _netloc(origin) in (host, self._base)
        if not own:
            raise PermissionDeniedError(
                f"Pages of {(origin or 'another site')[:80]!r} may not call this server. If they are yours, name the "
                "origin in the setting allowed_origins (LIMNER_ALLOWED_ORIGINS)."
            )


def _netloc(origin: str) -> str | None:
    try:
        parts = urlsplit(origin.lower())
    except ValueError:
        return None
    return parts.netloc if parts.scheme in ("http", "https") and parts.netloc else None


def _allow(headers: MutableHeaders, origin: str) -> None:
    headers["access-control-allow-origin"] = origin
    headers["access-control-expose-headers"] = EXPOSED
    headers.add_vary_header("origin")


async def _preflight(origin: str, send: Send) -> None:
    start: Message = {"type": "http.response.start", "status": 204, "headers": []}
    headers = MutableHeaders(scope=start)
    _allow(headers, origin)
    headers["access-control-allow-methods"] = "GET, HEAD, POST, DELETE"
    headers["access-control-allow-headers"] = "authorization, content-type, api-key, x-api-key, x-request-id"
    headers["access-control-max-age"] = "600"
    await send(start)
    await send({"type": "http.response.body", "body": b""})
