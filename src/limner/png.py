"""PNG files, fast: the filter and the framing are ours, deflate is a library's.

An encoder's time goes into deflate, and deflate's into searching for repetition. What pays depends on the picture: a
photograph has no repetition and needs only its Huffman codes (isal within 256 bytes), a drawing is all repetition
(zlib-ng), and most pictures lie between (isal within 32 KiB). So a few rows are tried with each filter and each way,
and the whole picture is written in the one that made them smallest. docs/decisions/0010-png.md has the figures.
"""

import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types of 8-bit pictures, by bytes a pixel.
COLOUR_TYPES = {3: 2, 4: 6}
# A picture's sides are 31-bit numbers.
MAX_SIDE = 2**31 - 1
# Filter types, at the start of every row: the bytes themselves, or less the pixel to the left, or less the one above.
NONE, SUB, UP = 0, 1, 2
# What is tried: so many runs of so many rows, spread evenly. Neighbours, for much repeats from row to row.
RUNS, RUN_ROWS = 4, 8
# Of the sampled bytes: a picture that shrinks below this is a flat drawing.
FLAT = 0.13
# A picture that stays above this has little repetition. Below it the rows tried are too few to show what there is.
TEXTURE = 0.25
# A zlib stream's header: deflate with a window of 32 KiB, whatever part of it was used.
ZLIB_HEADER = b"\x78\x01"

Deflate = Callable[[Any], bytes]


@dataclass(frozen=True, kw_only=True)
class Library:
    """Deflate in three ways, each from bytes to a zlib stream, and the checksum that PNG uses."""

    # Huffman codes and little else: photographs, grain, noise.
    texture: Deflate
    # Repetition within 32 KiB, searched for quickly.
    picture: Deflate
    # The same, searched for well; slow on all but flat drawings.
    flat: Deflate
    crc32: Callable[..., int]


def library() -> Library:
    """isal and zlib-ng where they are installed; else zlib, which gives other bytes, the same pixels, and is slower."""
    found = _zlib_alone()
    try:
        from isal import igzip_lib, isal_zlib
    except ImportError:
        return found
    # Their stubs leave the data untyped.
    igzip: Any = igzip_lib
    crc32: Callable[..., int] = cast(Any, isal_zlib).crc32
    return Library(texture=_isal(igzip, 1, 8), picture=_isal(igzip, 2, 15), flat=_zlib_ng() or found.flat, crc32=crc32)


def _isal(igzip: Any, level: int, bits: int) -> Deflate:
    def run(data: Any) -> bytes:
        return ZLIB_HEADER + igzip.compress(data, level, igzip.COMP_ZLIB_NO_HDR, igzip.MEM_LEVEL_DEFAULT, bits)

    return run


def _zlib_ng() -> Deflate | None:
    try:
        from zlib_ng import zlib_ng
    except ImportError:
        return None
    compress: Any = cast(Any, zlib_ng).compress
    return lambda data: compress(data, 6)


def _zlib_alone() -> Library:
    def deflate(level: int, strategy: int) -> Deflate:
        def run(data: Any) -> bytes:
            stream = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS, 9, strategy)
            return stream.compress(data) + stream.flush()

        return run

    ordinary = zlib.Z_DEFAULT_STRATEGY
    return Library(
        texture=deflate(1, zlib.Z_RLE), picture=deflate(1, ordinary), flat=deflate(6, ordinary), crc32=zlib.crc32
    )


def encode(
    data: bytes | bytearray | memoryview,
    width: int,
    height: int,
    *,
    channels: int = 3,
    texts: Iterable[tuple[str, str]] = (),
) -> bytes:
    """A PNG file of `data`: rows of 8-bit RGB (`channels` 3) or RGBA (4), top to bottom, without padding.

    `texts` are written as iTXt chunks, keyword and text, before the pixels. The same input gives the same bytes on the
    same machine with the same libraries.

    Raises:
        ValueError: the sizes do not fit the data, or a keyword is not 1 to 79 characters of Latin-1.
    """
    if channels not in COLOUR_TYPES or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"cannot write {width}x{height} pixels of {channels} bytes")
    with memoryview(data) as view:
        if view.nbytes != width * height * channels:
            raise ValueError(f"{width}x{height} pixels of {channels} bytes are not {view.nbytes} bytes")
    import numpy as np

    rows = np.frombuffer(data, np.uint8).reshape(height, width * channels)
    deflate = library()
    way, kind = _choice(deflate, rows, channels)
    head = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), *((b"iTXt", _itxt(*text)) for text in texts)]
    chunks += [(b"IDAT", way(_filtered(rows, channels, kind))), (b"IEND", b"")]
    parts = [SIGNATURE]
    for name, body in chunks:
        crc = deflate.crc32(body, deflate.crc32(name))
        parts += [struct.pack(">I", len(body)), name, body, struct.pack(">I", crc)]
    return b"".join(parts)


def _itxt(keyword: str, text: str) -> bytes:
    name = keyword.encode("latin-1")
    if not 0 < len(name) < 80 or b"\0" in name:
        raise ValueError(f"a keyword has 1 to 79 characters; got {keyword[:80]!r}")
    # Not compressed, no language, no translated keyword.
    return name + b"\0\0\0\0\0" + text.encode()


def _choice(deflate: Library, rows: "NDArray[np.uint8]", channels: int) -> tuple[Deflate, int]:
    """The way and the filter that make a sample of the rows smallest."""
    tried = {kind: _sample(rows, channels, kind) for kind in (NONE, SUB, UP)}
    sizes = {kind: len(deflate.picture(sample)) for kind, sample in tried.items()}
    kind = min(sizes, key=sizes.__getitem__)
    if sizes[kind] < FLAT * tried[kind].nbytes:
        # Little to search through, and the better search may like another filter.
        return deflate.flat, min(tried, key=lambda kind: len(deflate.flat(tried[kind])))
    if sizes[kind] > TEXTURE * tried[kind].nbytes and len(deflate.texture(tried[kind])) < sizes[kind]:
        return deflate.texture, kind
    return deflate.picture, kind


def _sample(rows: "NDArray[np.uint8]", channels: int, kind: int) -> "NDArray[np.uint8]":
    import numpy as np

    height = len(rows)
    if height <= 2 * RUNS * RUN_ROWS:
        return _filtered(rows, channels, kind)
    starts = [(2 * run + 1) * height // (2 * RUNS) - RUN_ROWS // 2 for run in range(RUNS)]
    # With the row above, or UP's first row would be what it never is in the picture.
    return np.concatenate([_filtered(rows[start - 1 : start + RUN_ROWS], channels, kind)[1:] for start in starts])


def _filtered(rows: "NDArray[np.uint8]", channels: int, kind: int) -> "NDArray[np.uint8]":
    """Every row behind its filter's type; one pass over the pixels."""
    import numpy as np

    height, stride = rows.shape
    out = np.empty((height, stride + 1), np.uint8)
    out[:, 0] = kind
    body = out[:, 1:]
    if kind == SUB:
        body[:, :channels] = rows[:, :channels]
        np.subtract(rows[:, channels:], rows[:, :-channels], out=body[:, channels:])
    elif kind == UP:
        body[0] = rows[0]
        np.subtract(rows[1:], rows[:-1], out=body[1:])
    else:
        body[:] = rows
    return out
