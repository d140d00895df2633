"""Pictures from URLs that clients name: the one place in the server that connects to where a stranger says.

A stranger's URL may point into our own network, at the machine's metadata service, or at a name that changes its
address between the look and the connection. So a URL is parsed once; its name is resolved once, every address is
looked at, and the connection goes to the address that was looked at; each redirect is a new URL; and bytes and seconds
are bounded. No proxy, cookie, key or other header of ours goes along. What comes is bytes: `uploads` decodes them.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from limner.errors import InvalidRequestError

if TYPE_CHECKING:
    import ssl

    import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# From a name and a port to addresses as text.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL = 8000
MAX_REDIRECTS = 3
# For all pictures of one request together.
SECONDS = 30.0
# Until a connection is there, and until the next bytes are.
PATIENCE = 10.0
# Pictures that are fetched at once, over all requests.
AT_ONCE = 16
PORTS = {"https": 443, "http": 80}
REDIRECTS = (301, 302, 303, 307, 308)
NAME = re.compile(r"([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.?", re.ASCII)
# IPv6 addresses that a gateway turns into IPv4 ones: NAT64, 6to4, Teredo.
TRANSLATED = tuple(ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))


@dataclass(frozen=True)
class _Target:
    """A URL, looked at: where to connect, and what to ask there."""

    url: "httpx2.URL"
    addresses: Sequence[Address]

    @property
    def port(self) -> int:
        return self.url.port or PORTS[self.url.scheme]


class Fetcher:
    """Fetches pictures from allowed hosts."""

    def __init__(
        self,
        allowed: Sequence[str],
        *,
        max_bytes: int,
        seconds: float = SECONDS,
        resolve: Resolve | None = None,
        verify: "ssl.SSLContext | bool" = True,
    ) -> None:
        """What may be fetched, and how much.

        Args:
            allowed: host names; "*" for any name and any public address; and addresses or networks (10.0.0.0/8),
                which may then be private and may be asked by plain http and at any port. Empty: nothing.
            max_bytes: of all pictures of one call together.
            seconds: for all of them together.
            resolve: instead of the system's resolver.
            verify: instead of the usual certificates.
        """
        entries = [(entry, network_of(entry)) for entry in allowed]
        self._networks = [network for _, network in entries if network]
        self._names = {entry for entry, network in entries if not network}
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._resolve = resolve or _resolved
        self._verify = verify
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def pictures(self, urls: Sequence[tuple[str, str]]) -> list[bytes]:
        """The files at `urls`, each given with the name of its field.

        Raises:
            InvalidRequestError: one is not allowed, or cannot be fetched, or is too large; `param` names it.
        """
        found: list[bytes] = []
        param = ""
        try:
            async with asyncio.timeout(self._seconds):
                for url, param in urls:
                    async with self._turns:
                        found.append(await self._picture(url, param, self._max_bytes - sum(map(len, found))))
        except TimeoutError:
            raise _refusal(param, f"the picture did not come within {self._seconds:g} s") from None
        return found

    async def _picture(self, text: str, param: str, most: int) -> bytes:
        import httpx2

        if not self._networks and not self._names:
            raise _refusal(
                param,
                "this server fetches no pictures; send it as a data URL, or let the operator allow its host by the "
                "setting fetch_hosts (LIMNER_FETCH_HOSTS)",
            )
        # A client for each picture: nothing that one answer sets reaches the next question.
        timeout = httpx2.Timeout(PATIENCE)
        async with httpx2.AsyncClient(verify=self._verify, trust_env=False, timeout=timeout) as client:
            for _ in range(MAX_REDIRECTS + 1):
                target = await self._target(text, param)
                answer = await self._answer(client, target, param, most)
                if isinstance(answer, bytes):
                    return answer
                client.cookies.clear()
                try:
                    text = str(target.url.join(answer.text))
                except (httpx2.InvalidURL, ValueError):
                    raise _refusal(param, "the picture's URL redirects to what is no URL") from None
        raise _refusal(param, f"the picture's URL redirects more than {MAX_REDIRECTS} times")

    async def _answer(
        self, client: "httpx2.AsyncClient", target: _Target, param: str, most: int
    ) -> "bytes | _Elsewhere":
        """The picture, or where it is instead."""
        import httpx2

        why = "its server cannot be reached"
        for address in target.addresses:
            try:
                async with client.stream("GET", **_question(target, address)) as response:
                    return await _read(response, param, most)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                # Another address of the same name may be reachable from here.
                continue
            except (httpx2.RequestError, httpx2.InvalidURL):
                why = "the connection broke"
                break
        raise _refusal(param, f"the picture cannot be fetched: {why}")

    async def _target(self, text: str, param: str) -> _Target:
        url = _parsed(text, param)
        literal = _address(url.host)
        if literal is None and not ("*" in self._names or url.host.rstrip(".") in self._names):
            raise _refusal(param, f"pictures are not fetched from {url.host[:80]!r}: the setting fetch_hosts lacks it")
        addresses = [literal] if literal else await self._addresses(url, param)
        target = _Target(url, addresses)
        for address in addresses:
            listed = any(address in network for network in self._networks)
            if not listed and not ("*" in self._names or literal is None):
                raise _refusal(param, f"pictures are not fetched from {address}: the setting fetch_hosts lacks it")
            if not listed and not is_public(address):
                # Not which address: the names of our network are not for strangers to look up.
                raise _refusal(param, f"{url.host[:80]!r} is not on the public internet")
            if not listed and url.scheme != "https":
                raise _refusal(param, "the picture's URL must begin with https")
            if not listed and target.port != PORTS[url.scheme]:
                raise _refusal(param, f"the picture's URL must be at port {PORTS[url.scheme]}")
        return target

    async def _addresses(self, url: "httpx2.URL", param: str) -> list[Address]:
        try:
            texts = await self._resolve(url.host, url.port or PORTS[url.scheme])
        except (OSError, UnicodeError):
            texts = ()
        found = [address for text in texts if (address := _address(text))]
        # One that cannot be read cannot be looked at.
        if not found or len(found) < len(texts):
            raise _refusal(param, f"the name {url.host[:80]!r} cannot be resolved")
        return found


@dataclass(frozen=True)
class _Elsewhere:
    text: str = field(repr=False)


def network_of(text: str) -> Network | None:
    """An address or a network as a network; None when it is neither."""
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether the address is one of the public internet, and none that stands for another one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address.is_site_local or any(address in network for network in TRANSLATED):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    # With a zone (fe80::1%eth0) it is of one interface, so never public.
    return None if getattr(found, "scope_id", None) else found


async def _resolved(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for _, _, _, _, address in found))


def _parsed(text: str, param: str) -> "httpx2.URL":
    import httpx2

    # What parsers disagree about is refused before there is anything to disagree about.
    if len(text) > MAX_URL or not text.isprintable() or "\\" in text or " " in text:
        raise _refusal(param, "the picture's URL is not one that can be read")
    try:
        url = httpx2.URL(text)
        host = url.raw_host.decode("ascii").lower()
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise _refusal(param, "the picture's URL is not one that can be read") from None
    if url.scheme not in PORTS or url.userinfo:
        raise _refusal(param, "the picture's URL must begin with https and hold no user name")
    numeric = host.rstrip(".").rpartition(".")[2]
    if _address(host) is None and (not NAME.fullmatch(host) or re.fullmatch(r"\d+|0x[0-9a-f]*", numeric)):
        # 2130706433, 0x7f.1 and 127.1 are addresses to some.
        raise _refusal(param, "the picture's URL names no host that can be read")
    return url.copy_with(host=host, fragment=None)


def _question(target: _Target, address: Address) -> dict[str, Any]:
    """The request, sent to the very address that was looked at; the name is for TLS and for the Host header."""
    host = target.url.raw_host.decode()
    shown = f"[{host}]" if ":" in host else host
    headers = {"host": shown if target.port == PORTS[target.url.scheme] else f"{shown}:{target.port}"}
    headers |= {"accept": "image/png, image/jpeg, image/webp", "accept-encoding": "identity", "user-agent": "limner"}
    # Or a redirect to another name at this address would go over a connection whose certificate is the first name's.
    headers["connection"] = "close"
    return {
        "url": target.url.copy_with(host=str(address), port=target.port),
        "headers": headers,
        "follow_redirects": False,
        "extensions": {"sni_hostname": host},
    }


async def _read(response: "httpx2.Response", param: str, most: int) -> "bytes | _Elsewhere":
    if response.status_code in REDIRECTS and "location" in response.headers:
        return _Elsewhere(response.headers["location"])
    if response.status_code != 200:
        raise _refusal(param, f"the picture cannot be fetched: its server answers {response.status_code}")
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        # A few bytes may unfold into many.
        raise _refusal(param, "the picture cannot be fetched: its server sends it compressed")
    data = bytearray()
    async for chunk in response.aiter_raw(65_536):
        data += chunk
        if len(data) > most:
            raise _refusal(
                param, f"the pictures that a request has fetched may have {most} bytes more", "image_too_large"
            )
    return bytes(data)


def _refusal(param: str, why: str, code: str = "invalid_image_url") -> InvalidRequestError:
    return InvalidRequestError(f"{param}: {why}.", param=param, code=code)
