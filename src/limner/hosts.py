"""Names and addresses of machines, as they stand in URLs and Host headers."""

import ipaddress
import re

# A Host header, or a name that may stand in one: name or address, perhaps a port.
HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)(:\d{1,5})?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`. A name other than localhost counts as no."""
    bare = host.strip().removeprefix("[").removesuffix("]")
    if bare.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def is_network(text: str) -> bool:
    """Whether `text` is an address or a network of addresses, such as 10.0.0.0/8 or [::1]."""
    try:
        ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return False
    return True


def local_url(host: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens on `host`, a name or an address."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
