"""PNG's row filters: a row as it is, or less what its neighbours foretell (PNG specification, section 9).

Shapes: `rows` is (height, width * channels) bytes, `above` the row above each, zeros above a picture's first. A
filtered picture has one byte more a row, the filter's type.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.uint8]

# Filter types for a whole picture: less nothing, less the pixel to the left, less the one above.
NONE, SUB, UP = range(3)
# Not a type of the format: each row with whichever of its five leaves least, as Pillow and libpng choose.
MIXED = 5
# Rows at a time, so that what is worked on stays in the processor's cache.
BLOCK = 32


def picture(rows: "Rows", channels: int, kind: int) -> "Rows":
    """A whole picture, filtered."""
    import numpy as np

    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    # Nothing is above the first row, and one that is not filtered can be half the file of a gradient.
    first = NONE if kind == NONE else SUB
    fill(out[:1], rows[:1], rows[:1], channels, first)
    fill(out[1:], rows[1:], rows[:-1], channels, kind)
    return out


def some(rows: "Rows", above: "Rows", channels: int, kind: int) -> "Rows":
    """Some rows of a picture, filtered."""
    import numpy as np

    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    fill(out, rows, above, channels, kind)
    return out


def fill(out: "Rows", rows: "Rows", above: "Rows", channels: int, kind: int) -> None:
    """Write `rows`, filtered, into `out`: one pass over the pixels, but for MIXED."""
    import numpy as np

    out[:, 0] = kind
    body = out[:, 1:]
    if kind == SUB:
        body[:, :channels] = rows[:, :channels]
        np.subtract(rows[:, channels:], rows[:, :-channels], out=body[:, channels:])
    elif kind == UP:
        np.subtract(rows, above, out=body)
    elif kind == MIXED:
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            _mix(out[part], rows[part], above[part], channels)
    else:
        body[:] = rows


def _mix(out: "Rows", rows: "Rows", above: "Rows", channels: int) -> None:
    import numpy as np

    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, channels:], corner[:, channels:] = rows[:, :-channels], above[:, :-channels]
    # The mean without a ninth bit.
    mean = (left & above) + ((left ^ above) >> 1)
    bodies = (rows, rows - left, rows - above, rows - mean, rows - _likeliest(left, above, corner))
    scores = np.stack([np.minimum(body, 0 - body).sum(1, dtype=np.uint32) for body in bodies])
    out[:, 0] = scores.argmin(0)
    for kind, body in enumerate(bodies):
        chosen = out[:, 0] == kind
        out[chosen, 1:] = body[chosen]


def _likeliest(left: "Rows", up: "Rows", corner: "Rows") -> "Rows":
    """Paeth's predictor: whichever of the three is nearest to left + up - corner; in this order when two are."""
    import numpy as np

    # How far each is from left + up - corner, which is `corner` plus two differences.
    from_left = np.maximum(up, corner) - np.minimum(up, corner)
    from_up = np.maximum(left, corner) - np.minimum(left, corner)
    # Differences of one sign add up to more than each; of two signs they take from one another.
    apart = np.maximum(from_left, from_up) - np.minimum(from_left, from_up)
    corner_wins = ((up >= corner) != (left >= corner)) & (apart < np.minimum(from_left, from_up))
    return _either(corner_wins, corner, _either(from_left <= from_up, left, up))


def _either(which: "NDArray[np.bool_]", one: "Rows", other: "Rows") -> "Rows":
    """`np.where`, several times as fast on bytes."""
    import numpy as np

    return other ^ ((one ^ other) & (0 - which.view(np.uint8)))
