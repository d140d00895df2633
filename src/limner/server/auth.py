"""Who may call. A dependency of routes, never a middleware that looks at paths: paths can be made to lie."""

import hashlib
import hmac

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from limner.errors import AuthenticationError, InvalidRequestError
from limner.server.context import Here

# Where clients put the key when it is not in `Authorization: Bearer`.
KEY_HEADERS = ("api-key", "x-api-key", "g4f-api-key")
# Only documents the scheme in the OpenAPI description; `require_key` does the work.
bearer = HTTPBearer(auto_error=False, description="The server's key. Servers without one take any, or none.")


async def require_key(request: Request, here: Here) -> None:
    """Let the request in when its key is the server's, or the server has none.

    Raises:
        AuthenticationError: no key or a wrong one; the same text for both.
        InvalidRequestError: two different keys.
    """
    if here.key is not None:
        check_key(request, here.key)


def check_key(request: Request, key: str) -> None:
    """Let the request pass when it carries this very key. Raises as `require_key`."""
    given = _credentials(request)
    if len(given) > 1:
        raise InvalidRequestError("The request carries two different keys; send one.", code="ambiguous_credentials")
    # Digests have one length, so the time that this takes tells nothing of the key.
    wanted = hashlib.sha256(key.encode()).digest()
    sent = hashlib.sha256(next(iter(given), "").encode()).digest()
    if not given or not hmac.compare_digest(wanted, sent):
        raise AuthenticationError("The API key is missing or wrong; send it as `Authorization: Bearer KEY`.")


def caller(request: Request) -> str:
    """Who asks, as far as a key tells: equal for equal keys, and no key can be read from it."""
    return hashlib.sha256("\n".join(sorted(_credentials(request))).encode()).hexdigest()


def _credentials(request: Request) -> set[str]:
    found = {value.strip() for name in KEY_HEADERS for value in request.headers.getlist(name)}
    for value in request.headers.getlist("authorization"):
        scheme, _, key = value.strip().partition(" ")
        found.add(key.strip() if scheme.lower() == "bearer" else "")
    return found - {""}


with_key = [Depends(require_key), Depends(bearer)]
