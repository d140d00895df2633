"""Pictures in a terminal: the kitty and iTerm2 protocols where the terminal speaks them, else coloured half blocks.

Everything here makes text; the caller writes it, and only to a terminal.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from limner.types import READERS

if TYPE_CHECKING:
    import PIL.Image

# The largest picture that is drawn, in character cells; a cell is about twice as high as wide.
MAX_COLUMNS = 64
# kitty takes base64 in pieces of at most so many characters.
KITTY_PIECE = 4096
# The levels of xterm's 6x6x6 colour cube.
CUBE = (0, 95, 135, 175, 215, 255)


def protocol(environment: Mapping[str, str]) -> str:
    """How a terminal with these variables shows pictures: "kitty", "iterm", "truecolor", "256", or "" for not at all.

    NO_COLOR (https://no-color.org) and TERM=dumb mean not at all.
    """
    term = environment.get("TERM", "")
    program = environment.get("TERM_PROGRAM", "")
    if environment.get("NO_COLOR") or term in ("", "dumb"):
        return ""
    # Multiplexers swallow both protocols, and hand the outer terminal's variables on.
    multiplexed = "TMUX" in environment or "STY" in environment or term.startswith(("screen", "tmux"))
    if not multiplexed:
        if "KITTY_WINDOW_ID" in environment or term in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
            return "kitty"
        if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
            return "iterm"
    if environment.get("COLORTERM") in ("truecolor", "24bit") or term.endswith("-direct"):
        return "truecolor"
    return "256" if "256color" in term else ""


def draw(data: bytes, how: str, *, columns: int, lines: int) -> str:
    """The text that shows the encoded picture `data` in a terminal of so many character cells; "" where it cannot.

    `how` is an answer of `protocol`.
    """
    if not how:
        return ""
    import PIL.Image

    with PIL.Image.open(io.BytesIO(data), formats=READERS) as opened:
        picture = opened.convert("RGB")
    width, rows = _cells(picture.width, picture.height, columns, lines)
    if how == "kitty":
        return _kitty(picture, width, rows)
    if how == "iterm":
        encoded = base64.b64encode(data).decode()
        return f"\x1b]1337;File=inline=1;size={len(data)};width={width};height={rows}:{encoded}\a\n"
    small = picture.resize((width, 2 * rows), PIL.Image.Resampling.LANCZOS)
    return "".join(_half_blocks(small, true_colour=how == "truecolor"))


def _cells(width: int, height: int, columns: int, lines: int) -> tuple[int, int]:
    """Columns and rows of cells that keep the picture's shape and leave room for two lines of text."""
    scale = min(min(columns, MAX_COLUMNS) / width, 2 * max(1, lines - 2) / height)
    return max(1, int(width * scale)), max(1, round(height * scale / 2))


def _kitty(picture: "PIL.Image.Image", columns: int, rows: int) -> str:
    # https://sw.kovidgoyal.net/kitty/graphics-protocol/: only PNG goes encoded; q=2 keeps the terminal from answering.
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    pieces = [encoded[start : start + KITTY_PIECE] for start in range(0, len(encoded), KITTY_PIECE)]
    text = ""
    for index, piece in enumerate(pieces):
        keys = f"a=T,f=100,q=2,c={columns},r={rows}," if index == 0 else ""
        text += f"\x1b_G{keys}m={int(index < len(pieces) - 1)};{piece}\x1b\\"
    return text + "\n"


def _half_blocks(picture: "PIL.Image.Image", *, true_colour: bool) -> Iterator[str]:
    # One cell shows two pixels: the upper as the colour of "▀", the lower as its background.
    raw = picture.tobytes()
    pixels = [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, len(raw), 3)]
    for top in range(0, picture.height, 2):
        upper = pixels[top * picture.width : (top + 1) * picture.width]
        lower = pixels[(top + 1) * picture.width : (top + 2) * picture.width]
        last = ""
        for front, back in zip(upper, lower, strict=True):
            codes = f"\x1b[{_colour(38, front, true_colour)};{_colour(48, back, true_colour)}m"
            # Flat drawings repeat colours; saying them once keeps slow links quick.
            yield "▀" if codes == last else codes + "▀"
            last = codes
        yield "\x1b[0m\n"


def _colour(ground: int, pixel: tuple[int, int, int], true_colour: bool) -> str:
    red, green, blue = pixel
    if true_colour:
        return f"{ground};2;{red};{green};{blue}"
    if max(pixel) - min(pixel) < 12 and 4 < red < 246:
        return f"{ground};5;{232 + min(23, max(0, round((sum(pixel) / 3 - 8) / 10)))}"
    r, g, b = (min(range(6), key=lambda level: abs(CUBE[level] - value)) for value in pixel)
    return f"{ground};5;{16 + 36 * r + 6 * g + b}"
