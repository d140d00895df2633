"""A server's JSON, its pictures taken out as bytes before anything parses it.

A parser would walk megabytes of base64 to make a `str` of it, from which bytes would be made. Here the text is found
in the body and decoded where it lies; only what is around it is parsed. Other servers write JSON in other ways, so what
is not a plain string of base64 is left to the parser.
"""

import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from limner import b64

# A key. In JSON a quote without a backslash before it begins or ends a string, and a name cannot follow the end of one,
# so with a colon behind it this is a key wherever it stands in valid JSON.
KEY = b'"b64_json"'
# What leads to its value.
COLON = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"')
# Shorter texts are not worth it.
SHORTEST = 1000


@dataclass(frozen=True)
class Answer:
    """What a body said."""

    # As `json.loads` gives it, but for texts of base64 that stand in `pictures`: those are keys of it.
    document: Any
    pictures: dict[str, bytes]

    def picture(self, value: object) -> bytes:
        """The bytes behind a `b64_json` of the document.

        Raises:
            ValueError: it is not base64.
        """
        if not isinstance(value, str):
            raise ValueError("not a text")
        if value in self.pictures:
            return self.pictures[value]
        # Some servers give a data URL.
        text = value.partition(",")[2] if value.startswith("data:") else value
        # And some break lines.
        return b64.decode("".join(text.split()).encode())


def read(body: bytes) -> Answer:
    """Read a body. Raises ValueError where it is no JSON."""
    # Nobody can send a text that is mistaken for one of ours.
    mark = secrets.token_hex(16)
    pictures: dict[str, bytes] = {}
    around: list[bytes] = []
    done = 0
    for start, end in _texts(body):
        try:
            with memoryview(body) as view:
                data = b64.decode(view[start:end])
        except ValueError:
            continue
        name = f"{mark}{len(pictures)}"
        pictures[name] = data
        around += [body[done:start], name.encode()]
        done = end
    around.append(body[done:])
    return Answer(json.loads(b"".join(around) if pictures else body), pictures)


def _texts(body: bytes) -> Iterator[tuple[int, int]]:
    """Where the texts of the keys begin and end, those without any escape in them: even one of a slash is the parser's.

    By `find` alone, which looks at many bytes at once; an expression looks at each.
    """
    at = 0
    while (at := body.find(KEY, at)) >= 0:
        colon = COLON.match(body, at + len(KEY))
        if colon is None or body[at - 1 : at] == b"\\":
            at += len(KEY)
            continue
        start, end = colon.end(), body.find(b'"', colon.end())
        if end - start >= SHORTEST and body.find(b"\\", start, end) < 0:
            yield start, end
        at = max(start, end)
