"""What a client says to a server and makes of the answer, without doing any of it.

A plan is a generator: it yields a request to send, or the seconds to wait, and returns the result. `limner.client` only
does what a plan says, once blocking and once awaiting, so the two clients cannot drift apart.
"""

import ipaddress
import json
import math
import os
import re
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

from limner import __version__
from limner.answer import Answer, read
from limner.errors import ConnectionFailedError, InvalidRequestError, LimnerError, ServerError, from_response
from limner.picture import Picture, size_of

if TYPE_CHECKING:
    import httpx2

DEFAULT_BASE_URL = "http://localhost:1337/v1"
# Seconds. A picture of a large model takes minutes; a server that is there takes a connection at once.
READ_TIMEOUT = 600.0
CONNECT_TIMEOUT = 5.0
# Seconds. A server that wants a longer wait than this before a retry gets none.
LONGEST_WAIT = 120.0

_T = TypeVar("_T")
# What a plan yields, what it is sent back, what it returns.
Plan = Generator["httpx2.Request | float", "httpx2.Response | LimnerError | None", _T]


class _Builder(Protocol):
    """The one thing that plans need of an HTTP client."""

    def build_request(
        self, method: str, url: str, *, content: bytes | None = None, headers: Any = None, timeout: Any = ...
    ) -> "httpx2.Request": ...


_Http = TypeVar("_Http", bound=_Builder)


class Wishes(TypedDict, total=False):
    """What `generate` takes beside the prompt. None is the same as absent: the server's default."""

    # Name of the model; the server's default where absent.
    model: str | None
    # How many pictures, 1..10.
    n: int | None
    # "512x512" in pixels, or "auto".
    size: str | None
    # 0..4294967295; the same seed gives the same picture. Drawn by the server where absent.
    seed: int | None
    # "low", "medium", "high" or "auto".
    quality: str | None
    # Denoising steps, 1..50.
    num_inference_steps: int | None
    # How closely to follow the prompt, 0..20; 1 is no guidance.
    guidance_scale: float | None
    # What to keep away from.
    negative_prompt: str | None
    # "png", "jpeg" or "webp".
    output_format: str | None
    # 0..100 for jpeg and webp; higher is larger and nearer to the original.
    output_compression: int | None
    # "opaque", "transparent" (png and webp only) or "auto".
    background: str | None


class Plans(Generic[_Http]):
    """What the two clients share: the address, the key, and all thought about requests and answers."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = READ_TIMEOUT,
        max_retries: int = 2,
    ) -> None:
        """Where to ask, and how patiently.

        Args:
            base_url: with or without /v1; else LIMNER_BASE_URL, else OPENAI_BASE_URL, else http://localhost:1337/v1.
            api_key: else LIMNER_API_KEY, else OPENAI_API_KEY, else none is sent.
            timeout: seconds that an answer may take.
            max_retries: how often a request is sent again after 429 or 503; 0 is never.

        Raises:
            InvalidRequestError: the base URL is not an http or https URL, or the key fits no header.
        """
        named = base_url or os.environ.get("LIMNER_BASE_URL") or os.environ.get("OPENAI_BASE_URL")
        # Another service's key goes only where the user pointed the client to, never to a default address.
        other = os.environ.get("OPENAI_API_KEY") if named else None
        self.base_url = _with_version(named or DEFAULT_BASE_URL)
        self._key = (api_key or os.environ.get("LIMNER_API_KEY") or other or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise InvalidRequestError(
                "api_key must be printable ASCII: no HTTP header can carry another.", param="api_key"
            )
        self._timeout = timeout
        self._max_retries = max_retries
        self._http = self._open(self._options())

    def _open(self, options: dict[str, Any]) -> _Http:
        raise NotImplementedError

    @property
    def shown_url(self) -> str:
        """The base URL without a password in it, for messages."""
        return _shown(self.base_url)

    def _options(self) -> dict[str, Any]:
        """The arguments of both HTTP clients."""
        import httpx2

        headers = {"user-agent": f"limner/{__version__}"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        return {
            "headers": headers,
            "timeout": httpx2.Timeout(self._timeout, connect=min(CONNECT_TIMEOUT, self._timeout)),
            # A proxy of the environment cannot reach this machine's loopback.
            "trust_env": not _is_loopback(self.base_url),
        }

    def _generate(self, prompt: str, wishes: Wishes) -> Plan[list[Picture]]:
        unknown = sorted(set(wishes) - set(Wishes.__annotations__))
        if unknown:
            raise TypeError(f"generate() takes {', '.join(Wishes.__annotations__)}; got {unknown[0]!r}")
        for name, value in wishes.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidRequestError(
                    f"{name} must be a finite number, which JSON can say; got {value}.", param=name
                )
        body = {name: value for name, value in wishes.items() if value is not None}
        body |= {"prompt": prompt, "response_format": "b64_json"}
        answer = yield from self._ask("POST", "/images/generations", body)
        return _pictures(answer)

    def _models(self) -> Plan[list[dict[str, Any]]]:
        answer = yield from self._ask("GET", "/models")
        return list(answer.document["data"])

    def _answers(self) -> Plan[bool]:
        request = self._http.build_request("GET", self.base_url.removesuffix("/v1") + "/ready", timeout=2.0)
        answer = yield request
        if answer is None or isinstance(answer, LimnerError) or answer.status_code != 200:
            return False
        return "model" in _document(answer)

    def _ask(self, method: str, path: str, body: object = None) -> Plan[Answer]:
        """Send, wait and send again where the server says so, and read the answer."""
        # As ASCII: what is no valid text (a lone surrogate) reaches the server, whose answer names the field.
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if content else {}
        for retry in range(self._max_retries + 1):
            answer = yield self._http.build_request(method, self.base_url + path, content=content, headers=headers)
            assert answer is not None
            if isinstance(answer, LimnerError):
                raise answer
            if answer.is_success:
                return _read(answer, self.shown_url)
            error = _error(answer)
            wait = error.retry_after if error.retry_after is not None else 0.5 * 2**retry
            again = answer.status_code in (429, 503) and answer.headers.get("x-should-retry") != "false"
            if not again or wait > LONGEST_WAIT or retry == self._max_retries:
                raise error
            yield float(wait)
        raise AssertionError("unreachable")

    def _lost(self, error: "httpx2.RequestError") -> ConnectionFailedError:
        import httpx2

        shown = self.shown_url
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol):
            return ConnectionFailedError(f"Nothing answers at {shown}; start a server with `limner serve`.")
        if isinstance(error, httpx2.TimeoutException):
            return ConnectionFailedError(f"{shown} did not answer within {self._timeout:g} s.")
        return ConnectionFailedError(f"The connection to {shown} broke before the answer was whole.")


def _with_version(base_url: str) -> str:
    """The base URL, checked, without a slash at its end and with /v1 where it has no version."""
    text = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    else:
        good = good and not parts.query and not parts.fragment
    if not good:
        raise InvalidRequestError(
            f"base_url must be an http or https URL such as {DEFAULT_BASE_URL}; got {_shown(text)[:80]!r}.",
            param="base_url",
        )
    return text if re.search(r"/v\d", urlsplit(text).path) else f"{text}/v1"


def _shown(url: str) -> str:
    """The URL without a password in it."""
    return re.sub(r"//[^/@]*@", "//", url)


def _is_loopback(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _document(answer: "httpx2.Response") -> Mapping[str, Any]:
    """The JSON object that was answered; empty where it is none."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    return cast(Mapping[str, Any], body) if isinstance(body, dict) else {}


def _read(answer: "httpx2.Response", shown_url: str) -> Answer:
    try:
        found = read(answer.content)
    except (ValueError, RecursionError):
        found = Answer({}, {})
    document = found.document
    if not isinstance(document, dict) or not isinstance(cast(Any, document).get("data"), list) or not document["data"]:
        raise ServerError(f"What answers at {shown_url} does not speak the images API; check the base URL.")
    return found


def _pictures(answer: Answer) -> list[Picture]:
    listed: list[Mapping[str, Any]] = answer.document["data"]
    try:
        files = [answer.picture(item["b64_json"]) for item in listed]
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError(
            "The server's answer holds no picture that can be read, though b64_json was asked for."
        ) from error
    model = str(answer.document.get("model") or "")
    return [
        Picture(bytes=data, seed=_whole(item.get("seed")), model=model, size=size_of(data))
        for data, item in zip(files, listed, strict=True)
    ]


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _error(answer: "httpx2.Response") -> LimnerError:
    error = from_response(answer.status_code, _document(answer), request_id=answer.headers.get("x-request-id"))
    for header, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        told = answer.headers.get(header, "")
        # The HTTP date form is read as "not told".
        if re.fullmatch(r"\d{1,9}(\.\d*)?", told):
            error.retry_after = float(told) / unit
            break
    return error
