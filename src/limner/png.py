"""PNG files, fast: the filters and the framing are ours, deflate is a library's.

An encoder's time goes into deflate, and deflate's into searching for repetition. What pays depends on the picture: a
photograph has no repetition and needs only its codes, a drawing is all repetition. So a few rows are tried, and the
whole picture is written in the quickest way, and with the filter, that keeps them within a tenth of what a thorough
encoder makes of them. docs/decisions/0010-png.md has the figures.
"""

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

from limner import filtering
from limner.deflating import ZLIB_HEADER, Deflate, Library, library
from limner.filtering import MIXED, NONE, SUB, UP

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour types of 8-bit pictures, by bytes a pixel.
COLOUR_TYPES = {3: 2, 4: 6}
# A picture's sides are 31-bit numbers.
MAX_SIDE = 2**31 - 1
# What is tried: so many runs of neighbouring rows, spread evenly, each of so many bytes and rows at least.
RUNS, RUN_BYTES, RUN_ROWS = 8, 4_000, 3
# A sample that stays above this share of its bytes, and in which the whole window finds nothing, is grain.
TEXTURE = 0.25
# What searching well leaves of a part of it must not be less than this share.
FOUND = 0.5
# How much larger than the usual encoder's the sample may be. The whole picture may then be a quarter larger.
SLACK = 1.13
# A sample that the usual encoder shrinks below this share says too little of the picture: all there is, is repetition
# from row to row, and it has too few rows.
FLAT = 0.01
# One that it shrinks below this share is little but runs, which isal codes in ten bits where two would do.
RUNS_ONLY = 0.04
# How much larger than the thorough one's the usual one's sample may be.
THOROUGHLY = 1.2
# Rows that come again within deflate's window, but not after more than so many, in more than this share of their bytes.
WINDOW, PERIOD, AGAIN = 32 * 1024, 64, 0.9


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
    parts = [SIGNATURE, *_chunk(deflate, b"IHDR", head)]
    for text in texts:
        parts += _chunk(deflate, b"iTXt", _itxt(*text))
    parts += _chunk(deflate, b"IDAT", ZLIB_HEADER, way(filtering.picture(rows, channels, kind)))
    return b"".join([*parts, *_chunk(deflate, b"IEND")])


def _chunk(deflate: Library, name: bytes, *body: bytes | memoryview) -> "list[bytes | memoryview]":
    crc = 0
    for part in (name, *body):
        crc = deflate.crc32(part, crc)
    return [struct.pack(">I", sum(map(len, body))), name, *body, struct.pack(">I", crc)]


def _itxt(keyword: str, text: str) -> bytes:
    name = keyword.encode("latin-1")
    if not 0 < len(name) < 80 or b"\0" in name:
        raise ValueError(f"a keyword has 1 to 79 characters; got {keyword[:80]!r}")
    # Not compressed, no language, no translated keyword.
    return name + b"\0\0\0\0\0" + text.encode()


def _choice(deflate: Library, rows: "NDArray[np.uint8]", channels: int) -> tuple[Deflate, int]:
    """The quickest way that keeps a sample of the rows small, and the filter that makes them smallest in it."""
    chosen = _sample(rows)
    some, above = rows[chosen], rows[chosen - 1]
    above[chosen == 0] = 0
    tried = {kind: filtering.some(some, above, channels, kind) for kind in (NONE, SUB, UP)}
    total, periodic = tried[NONE].nbytes, _periodic(rows, chosen)
    size, kind = _smallest(deflate.grain, {kind: tried[kind] for kind in (SUB, UP)})
    if not periodic and size > TEXTURE * total and _is_grain(deflate, tried[kind], size):
        return deflate.grain, kind
    mixed = filtering.some(some, above, channels, MIXED)
    usual = len(deflate.usual(mixed))
    if periodic or usual <= FLAT * total:
        return deflate.thorough, _smallest(deflate.thorough, tried | {MIXED: mixed})[1]
    # In the order of what they cost: filtering the whole picture row by row takes longer than deflating it quickly.
    plans = [(deflate.fair, tried), (deflate.grain, {MIXED: mixed})]
    if usual > RUNS_ONLY * total:
        plans = [(deflate.grain, tried), (deflate.quick, tried), *plans]
    for way, filters in plans:
        size, kind = _smallest(way, filters)
        if size <= SLACK * usual:
            return way, kind
    size, kind = _smallest(deflate.usual, tried)
    least, filtered = _smallest(deflate.thorough, tried | {MIXED: mixed})
    # On planes the thorough one finds twice as much.
    return (deflate.usual, kind) if size <= min(SLACK * usual, THOROUGHLY * least) else (deflate.thorough, filtered)


def _is_grain(deflate: Library, sample: "NDArray[np.uint8]", size: int) -> bool:
    """Whether nothing is gained by looking for repetition: in all of it at a glance, in an eighth of it thoroughly."""
    middle, run = len(sample) // 2, max(1, len(sample) // RUNS)
    searched = len(deflate.fair(sample[middle : middle + run])) * len(sample) / run
    return len(deflate.quick(sample)) >= size and searched >= FOUND * size


def _smallest(way: Deflate, filters: "dict[int, NDArray[np.uint8]]") -> tuple[int, int]:
    return min((len(way(data)), kind) for kind, data in filters.items())


def _sample(rows: "NDArray[np.uint8]") -> "NDArray[np.int64]":
    """The indices of the rows to try."""
    import numpy as np

    height, stride = rows.shape
    run = max(RUN_ROWS, RUN_BYTES // stride)
    if height <= 2 * RUNS * run:
        return np.arange(height, dtype=np.int64)
    starts = [(2 * number + 1) * height // (2 * RUNS) - run // 2 for number in range(RUNS)]
    return np.array([start + row for start in starts for row in range(run)], np.int64)


def _periodic(rows: "NDArray[np.uint8]", chosen: "NDArray[np.int64]") -> bool:
    """Whether rows come again a few rows further down: deflate's window finds that, and short runs do not show it."""
    period = min(PERIOD, max(1, WINDOW // rows.shape[1]))
    few = chosen[:: max(1, len(chosen) // RUNS)]
    few = few[few >= period]
    if not len(few):
        # Low pictures are written thoroughly: it takes no time.
        return True
    # The middle third of each: enough to tell.
    middle = rows[:, rows.shape[1] // 3 : -(rows.shape[1] // 3)]
    looked = middle[few]
    same = [float((looked == middle[few - back]).mean()) for back in range(1, period + 1)]
    return max(same[1:], default=0.0) > max(AGAIN, same[0] + 1 - AGAIN)
