"""The process that opens pictures from strangers: `python -m limner.decoding`, started by `uploads`.

It takes a JSON line and a file on its standard input and gives a JSON line and rows of pixels, until its input ends.
Memory, processor time, files and writing are limited by the kernel, so that a bomb or a hole in a decoder ends this
process and nothing else. What it does not expect may crash it: the other side starts another one.
"""

import io
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP")
# 4096x4096: what the header may declare.
MAX_PIXELS = 16_777_216
MEMORY = 1_000_000_000
# Seconds of processor time for one picture.
CPU_SECONDS = 10


def main() -> None:
    """Serve until the input ends."""
    limit()
    import PIL.Image

    # We look at the header ourselves; this one would only warn.
    PIL.Image.MAX_IMAGE_PIXELS = None
    given, taken = sys.stdin.buffer, sys.stdout.buffer
    taken.write(b"ready\n")
    taken.flush()
    while line := given.readline():
        wish: dict[str, Any] = json.loads(line)
        more_time()
        told, pixels = answer(given.read(wish["bytes"]), wish)
        taken.write(json.dumps(told | {"bytes": len(pixels)}).encode() + b"\n" + pixels)
        taken.flush()


def limit() -> None:
    """What this process may take from the machine. Windows has no such limits; time and size are bounded anyway."""
    if sys.platform == "win32":
        return
    import resource

    for name, most in (("RLIMIT_AS", MEMORY), ("RLIMIT_FSIZE", 0), ("RLIMIT_CORE", 0), ("RLIMIT_NOFILE", 32)):
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def more_time() -> None:
    """Processor time for one more picture: the limit counts from the start of the process."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used.ru_utime + used.ru_stime) + 1 + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def answer(data: bytes, wish: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """(what was found, pixels): RGBA no larger than `max_side`, or L at the size that `mask` says."""
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return {"problem": "pixels", "width": opened.width, "height": opened.height}, b""
            # A JPEG from a telephone may carry further pictures behind the first; that one is what people see.
            if opened.format in ("PNG", "WEBP") and getattr(opened, "n_frames", 1) > 1:
                return {"problem": "frames"}, b""
            opened.load()
            # A JPEG of several is named MPO.
            kind = "jpeg" if opened.format not in ("PNG", "WEBP") else opened.format.lower()
            upright = rgba(PIL.ImageOps.exif_transpose(opened))
    except (OSError, ValueError, SyntaxError, TypeError, LookupError, EOFError, MemoryError):
        return {"problem": "broken"}, b""
    if wish["mask"]:
        upright = repainted(upright, (wish["mask"][0], wish["mask"][1]))
    else:
        upright.thumbnail((wish["max_side"], wish["max_side"]), PIL.Image.Resampling.LANCZOS)
    return {"format": kind, "width": upright.width, "height": upright.height}, upright.tobytes()


def rgba(picture: "Image") -> "Image":
    """Any mode as RGBA."""
    if picture.mode.startswith(("I", "F")):
        # Sixteen bits: Pillow's own conversion cuts off all that is above 255.
        picture = picture.point(lambda value: value * (1 / 257)).convert("L")
    elif picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    return picture.convert("RGBA")


def repainted(mask: "Image", size: tuple[int, int]) -> "Image":
    """255 where the picture is to be repainted: where alpha is 0, or, if it is nowhere less than full, where white."""
    import PIL.Image
    import PIL.ImageChops

    alpha = mask.getchannel("A")
    seen = alpha.getextrema()[0]
    marked = PIL.ImageChops.invert(alpha) if isinstance(seen, int) and seen < 255 else mask.convert("RGB").convert("L")
    if marked.size == size:
        return marked
    smaller = size[0] < marked.width or size[1] < marked.height
    return marked.resize(size, PIL.Image.Resampling.BOX if smaller else PIL.Image.Resampling.NEAREST)


if __name__ == "__main__":
    main()
