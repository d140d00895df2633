"""What crosses between a worker engine and its child: messages of our nouns and plain values, and bytes beside them.

A frame is a header, JSON, and the bytes that the JSON points to. Large ones lie in memory that both processes see, an
anonymous file whose descriptor travels over the socket: the one side writes the pixels there once, the other maps
them, and nobody copies them again. Nothing is unpickled, so weights that break the child do not reach the parent.
"""

import contextlib
import json
import mmap
import os
import socket
import struct
import tempfile
import threading
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from limner import loras, sources, types

# JSON's length, the length of the bytes after it, and whether both lie in shared memory.
HEADER = struct.Struct(">IQ?")
# Frames up to this go through the socket: both copies together take less than mapping a page does.
SMALL = 32_768

NOUNS: Mapping[str, type[Any]] = {
    name: kind for module in (loras, sources, types) for name, kind in vars(module).items() if is_dataclass(kind)
}  # pyright: ignore[reportAssignmentType]


class Channel:
    """One end of the socket. `send` may be called from any thread, `receive` from one."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._turn = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises OSError: the other side is gone, or does not read."""
        blobs: list[Any] = []
        text = json.dumps(_flat(message, blobs), separators=(",", ":")).encode()
        rest = sum(map(len, blobs))
        shared = len(text) + rest > SMALL
        header = HEADER.pack(len(text), rest, shared)
        with self._turn:
            if not shared:
                self._end.sendall(b"".join((header, text, *blobs)))
                return
            memory = _memory((text, *blobs))
            try:
                socket.send_fds(self._end, [header], [memory])
            finally:
                os.close(memory)

    def receive(self) -> dict[str, Any] | None:
        """The next message, or None when the other side is gone. Blocks."""
        try:
            header, memories, _, _ = socket.recv_fds(self._end, HEADER.size, 1)
            if header:
                header += self._exactly(HEADER.size - len(header))
            if len(header) < HEADER.size:
                return None
            length, rest, shared = HEADER.unpack(header)
            if not shared:
                held = memoryview(self._exactly(length + rest))
                return _round(json.loads(bytes(held[:length])), bytes(held[length:]))
        except ConnectionError:
            return None
        (memory,) = memories
        try:
            held = memoryview(mmap.mmap(memory, length + rest, prot=mmap.PROT_READ))
        finally:
            os.close(memory)
        return _round(json.loads(bytes(held[:length])), held[length:])

    def close(self) -> None:
        """Wakes whoever receives."""
        # The other side may have been faster.
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _exactly(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            more = self._end.recv(count - len(got))
            if not more:
                raise ConnectionResetError("cut off in the middle of a frame")
            got += more
        return bytes(got)


def _memory(parts: Iterable[Any]) -> int:
    """The descriptor of an anonymous file that holds `parts`; the kernel frees it with its last user."""
    if hasattr(os, "memfd_create"):
        memory = os.memfd_create("limner-frame")
    else:
        with tempfile.TemporaryFile() as file:
            memory = os.dup(file.fileno())
    for part in parts:
        left = memoryview(part)
        while left:
            left = left[os.write(memory, left) :]
    return memory


def _flat(value: Any, blobs: list[Any]) -> Any:
    """`value` as JSON has it; bytes go to `blobs` and leave their length."""
    if isinstance(value, bytes | memoryview):
        blob = cast(bytes, value)
        blobs.append(blob)
        return {"$bytes": len(blob)}
    if is_dataclass(value) and not isinstance(value, type):
        told = {field.name: _flat(getattr(value, field.name), blobs) for field in fields(value)}
        return {"$noun": type(value).__name__, **told}
    if isinstance(value, Mapping):
        return {name: _flat(each, blobs) for name, each in cast(Mapping[str, Any], value).items()}
    if isinstance(value, frozenset):
        return {"$set": sorted(cast(frozenset[Any], value))}
    if isinstance(value, list | tuple):
        return [_flat(each, blobs) for each in cast(list[Any], value)]
    return value


def _round(value: Any, held: "bytes | memoryview[int]") -> Any:
    """The opposite of `_flat`. Lists become tuples, as our nouns have them."""
    at = 0

    def built(value: Any) -> Any:
        nonlocal at
        if isinstance(value, list):
            return tuple(built(each) for each in cast(list[Any], value))
        if not isinstance(value, dict):
            return value
        told = cast(dict[str, Any], value)
        if "$bytes" in told:
            at += told["$bytes"]
            # A read-only view is equal to its bytes, has their hash, and is read by all that reads bytes.
            return held[at - told["$bytes"] : at]
        if "$set" in told:
            return frozenset(told["$set"])
        kind = NOUNS.get(told.pop("$noun", ""))
        whole = {name: built(each) for name, each in told.items()}
        return kind(**whole) if kind else whole

    return built(value)
