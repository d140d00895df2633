"""Everything that can go wrong, as one tree.

    LimnerError
    ├── InvalidRequestError          400  the request cannot be right, now or later; `param` names the field
    │   ├── NotFoundError            404  no such route or picture
    │   │   └── ModelNotFoundError   404  no such model; the message lists the nearest names
    │   ├── MethodNotAllowedError    405
    │   ├── RequestTimeoutError      408  the body stalled
    │   ├── RequestTooLargeError     413  the body is over the limit
    │   └── HeadersTooLargeError     431
    ├── AuthenticationError          401  no key, or a wrong one: one text for both
    ├── PermissionDeniedError        403  a foreign Origin
    ├── RateLimitError               429  carries `retry_after`, in seconds
    │   └── QueueFullError           429
    ├── ServerError                  500  our fault
    │   ├── EngineError              500  the engine broke on this request
    │   │   └── EngineDiedError      500  its process ended or hung; a fresh one takes the next request
    │   ├── StorageError             500  the picture could not be written
    │   ├── HubError                 502  the hub of models failed, or sent the wrong bytes
    │   └── NotReadyError            503  starting or draining; carries `retry_after`
    ├── ConnectionFailedError        client only: nothing answers at the base URL
    └── PortTakenError               before any request: the server cannot listen where it should

Each class knows its HTTP status, its `type` and default `code` in the API's error object, and the exit code of the
command line. `from_response` turns an error object back into the class that made it, so the client raises what
the server raised.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast


class LimnerError(Exception):
    """Something went wrong. `message` is a whole sentence for the person who sent the request."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    default_code: ClassVar[str | None] = None
    exit_code: ClassVar[int] = 1

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.default_code
        # Seconds after which trying again makes sense; None when it does not.
        self.retry_after = retry_after
        # The server's x-request-id, where the error came over HTTP.
        self.request_id: str | None = None

    def body(self) -> dict[str, Any]:
        """The API's error object: always these four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequestError(LimnerError):
    """The request is wrong and stays wrong."""

    status = 400
    type = "invalid_request_error"
    default_code = "invalid_value"
    exit_code = 2


class NotFoundError(InvalidRequestError):
    """There is nothing at this address."""

    status = 404
    default_code = "not_found"
    exit_code = 5


class ModelNotFoundError(NotFoundError):
    """No model of this name is known here."""

    default_code = "model_not_found"


class MethodNotAllowedError(InvalidRequestError):
    """The address exists, the method does not."""

    status = 405
    default_code = "method_not_allowed"


class RequestTimeoutError(InvalidRequestError):
    """The body stopped arriving."""

    status = 408
    default_code = "request_timeout"


class RequestTooLargeError(InvalidRequestError):
    """The body is larger than the server takes."""

    status = 413
    default_code = "request_too_large"


class HeadersTooLargeError(InvalidRequestError):
    """The headers are larger or more than the server takes."""

    status = 431
    default_code = "request_too_large"


class AuthenticationError(LimnerError):
    """The key is missing or wrong."""

    status = 401
    # As OpenAI answers it; clients tell it by the status and the code.
    type = "invalid_request_error"
    default_code = "invalid_api_key"
    exit_code = 4


class PermissionDeniedError(LimnerError):
    """The caller is known but may not do this."""

    status = 403
    type = "permission_error"
    default_code = "origin_not_allowed"
    exit_code = 4


class RateLimitError(LimnerError):
    """Too much at once."""

    status = 429
    type = "rate_limit_error"
    default_code = "rate_limit_exceeded"
    exit_code = 6


class QueueFullError(RateLimitError):
    """As many requests wait as may wait."""

    default_code = "queue_full"


class ServerError(LimnerError):
    """The server failed, not the request."""

    default_code = "internal_error"


class EngineError(ServerError):
    """The engine failed on this request."""

    default_code = "engine_failed"


class EngineDiedError(EngineError):
    """The engine's process ended or hung while it drew."""

    default_code = "engine_died"


class StorageError(ServerError):
    """A picture could not be written or read."""

    default_code = "storage_failed"


class HubError(ServerError):
    """The hub that models come from failed, or what came from it was not what it had named."""

    status = 502
    default_code = "hub_failed"


class NotReadyError(ServerError):
    """Not yet, or not any more."""

    status = 503
    default_code = "unavailable"


class ConnectionFailedError(LimnerError):
    """Nothing answers at the base URL. Raised by the client only."""

    type = "connection_error"
    default_code = "connection_failed"
    exit_code = 7


class PortTakenError(LimnerError):
    """The address cannot be listened on. Raised at the start of a server only."""

    type = "startup_error"
    default_code = "port_taken"
    exit_code = 3


# What no answer of a server tells.
_LOCAL = (ConnectionFailedError, PortTakenError)


def _family(root: type[LimnerError]) -> Iterator[type[LimnerError]]:
    yield root
    for child in root.__subclasses__():
        yield from _family(child)


def from_response(status: int, body: object, *, request_id: str | None = None) -> LimnerError:
    """The error that a server's answer tells of: by `code` where that is ours, else by status.

    `body` is the decoded JSON, or anything else when the answer was not JSON.
    """
    detail: Mapping[str, Any] = {}
    if isinstance(body, Mapping):
        told = cast("Mapping[str, Any]", body).get("error")
        if isinstance(told, Mapping):
            detail = cast("Mapping[str, Any]", told)
    # A bare 502 is a proxy's word, not ours of a hub.
    unlikely = _LOCAL if detail else (*_LOCAL, HubError)
    kinds = [kind for kind in _family(LimnerError) if kind.status == status and kind not in unlikely]
    named = [kind for kind in kinds if kind.default_code == detail.get("code")]
    fallback = InvalidRequestError if 400 <= status < 500 else ServerError
    kind = (named or kinds or [fallback])[0]
    kind = ServerError if kind is LimnerError else kind
    error = kind(
        str(detail.get("message") or f"The server answered {status} without an error object."),
        param=detail.get("param"),
        code=detail.get("code"),
    )
    error.request_id = request_id
    return error
