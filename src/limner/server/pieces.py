"""An answer in pieces: JSON with pictures joined in as base64, which no JSON encoder ever sees.

The text of a picture is made while it is sent, a slice at a time, so a slow reader costs the server a slice and not an
answer; the length is known before.
"""

import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fastapi import Response
from starlette.types import Receive, Scope, Send

from limner import b64

# Bytes that go out at once. A whole number of base64's three bytes becomes a whole number of its four.
SLICE = 256 * 1024
RAW_SLICE = SLICE // 4 * 3


@dataclass(frozen=True)
class Base64:
    """Bytes that go out as base64 text."""

    data: bytes = field(repr=False)

    def __len__(self) -> int:
        """The length of the text."""
        return b64.encoded_length(len(self.data))


Piece = bytes | Base64
# What is sent together, an event of a stream or a whole answer.
Chunk = tuple[Piece, ...]


def length(pieces: Iterable[Piece]) -> int:
    """Bytes on the wire."""
    return sum(map(len, pieces))


def slices(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes on the wire, a few hundred kilobytes at a time; small pieces go together."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        for part in _parts(piece):
            waiting.append(part)
            size += len(part)
            if size >= SLICE:
                yield b"".join(waiting)
                waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _parts(piece: Piece) -> Iterator[bytes]:
    text = isinstance(piece, Base64)
    step = RAW_SLICE if text else SLICE
    with memoryview(piece.data if text else piece) as view:
        for start in range(0, len(view), step):
            part = view[start : start + step]
            yield b64.encode(part) if text else bytes(part)


async def send_slices(send: Send, pieces: Iterable[Piece], *, last: bool) -> None:
    """Send them as parts of a body, each when the client has taken most of what was sent before.

    `last`: the body ends with them.
    """
    held: bytes | None = None
    for part in slices(pieces):
        if held is not None:
            await send({"type": "http.response.body", "body": held, "more_body": True})
        held = part
    if held is not None or last:
        await send({"type": "http.response.body", "body": held or b"", "more_body": not last})


class Pieces(Response):
    """An answer whose length is known and whose bytes are made as they are sent."""

    def __init__(self, pieces: Chunk, *, media_type: str, headers: Mapping[str, str], status: int = 200) -> None:
        headers = {**headers, "content-length": str(length(pieces))}
        super().__init__(status_code=status, media_type=media_type, headers=headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send_slices(send, self._pieces, last=True)


async def gathered(chunks: AsyncGenerator[Chunk, None]) -> Chunk:
    """All pieces of all chunks."""
    async with contextlib.aclosing(chunks):
        return tuple([piece async for chunk in chunks for piece in chunk])
