"""Deflate by libraries, from the quickest way to the smallest: isal, zlib-ng, or zlib where they are missing."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

# A zlib stream's header: deflate with a window of 32 KiB, whatever part of it was used.
ZLIB_HEADER = b"\x78\x01"

# From bytes to what follows the header: the compressed blocks and their Adler-32.
Deflate = Callable[[Any], bytes | memoryview]


@dataclass(frozen=True, kw_only=True)
class Library:
    """Ways to deflate, quickest first, and the checksum that PNG uses."""

    # For grain and noise: looks for little else than frequent bytes.
    grain: Deflate
    # Repetition within 32 KiB, by one look-up.
    quick: Deflate
    # The same, searched for.
    fair: Deflate
    # As an encoder in no hurry does it: what the quicker ones are judged by.
    usual: Deflate
    # As thorough as zlib's level 6.
    thorough: Deflate
    crc32: Callable[..., int]


def library() -> Library:
    """isal and zlib-ng where they are installed; else zlib, which gives other bytes, the same pixels, and is slower."""
    fair, usual, thorough = _searching()
    try:
        from isal import igzip_lib, isal_zlib
    except ImportError:
        grain, quick, crc32 = _zlib(1, zlib.Z_RLE), _zlib(1), zlib.crc32
    else:
        # Windows of 256 bytes and of 32 KiB. Their stubs leave the data untyped.
        grain, quick, crc32 = _isal(igzip_lib, 8), _isal(igzip_lib, 15), cast(Any, isal_zlib).crc32
    return Library(grain=grain, quick=quick, fair=fair, usual=usual, thorough=thorough, crc32=crc32)


def _isal(igzip: Any, bits: int) -> Deflate:
    return lambda data: igzip.compress(data, 1, igzip.COMP_ZLIB_NO_HDR, igzip.MEM_LEVEL_DEFAULT, bits)


def _searching() -> tuple[Deflate, Deflate, Deflate]:
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return _zlib(4), _zlib(5), _zlib(6)
    compress: Any = cast(Any, zlib_ng).compress

    def way(level: int) -> Deflate:
        return lambda data: memoryview(compress(data, level))[2:]

    # Its level 6 finds no more than a third of what zlib's finds in gradients and tiles; its 7 finds as much.
    return way(3), way(5), way(7)


def _zlib(level: int, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> Deflate:
    def run(data: Any) -> memoryview:
        stream = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
        return memoryview(stream.compress(data) + stream.flush())[2:]

    return run
