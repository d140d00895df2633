"""Pictures from strangers: decoded in a process of its own, under limits, so that they cannot harm this one."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Generator, Mapping
from typing import Any

from limner.child import environment, start
from limner.decoding import MAX_PIXELS
from limner.errors import InvalidRequestError, ServerError
from limner.sources import Source

# A file as it was sent.
MAX_BYTES = 20_000_000
# Seconds until the process must have begun, on a machine that is busy.
START = 60.0


class PictureReader:
    """Decodes uploads, one at a time, in a process that starts with the first and is replaced when it dies."""

    def __init__(self, *, seconds: float = 20.0) -> None:
        """`seconds`: how long one picture may take."""
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process; None while there is none."""
        return self._child.pid if self._child else None

    def picture(self, data: bytes, *, param: str, max_side: int) -> Source:
        """The picture in `data`, upright, shrunk where a side is above `max_side`. Blocks.

        Raises:
            InvalidRequestError: too large, animated, or not a PNG, JPEG or WebP that can be decoded.
        """
        told, pixels = self._decode(data, param, {"mask": None, "max_side": max_side})
        return Source(pixels=pixels, width=told["width"], height=told["height"])

    def kind(self, data: bytes, *, param: str) -> str:
        """The format of the picture in `data`: png, jpeg or webp. Blocks; raises as `picture` does."""
        told, _ = self._decode(data, param, {"mask": None, "max_side": 1})
        return str(told["format"])

    def mask(self, data: bytes, *, param: str, like: Source) -> bytes:
        """One byte for each pixel of `like`, 255 where it is to be repainted. Blocks; raises as `picture` does."""
        _, pixels = self._decode(data, param, {"mask": [like.width, like.height], "max_side": 0})
        return pixels

    def close(self) -> None:
        """End the process."""
        with self._turn:
            self._stop()

    def _decode(self, data: bytes, param: str, wish: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        if len(data) > MAX_BYTES:
            raise InvalidRequestError(
                f"{param}: a picture may have at most {MAX_BYTES} bytes; this one has {len(data)}.",
                param=param,
                code="image_too_large",
            )
        with self._turn:
            told, pixels = self._ask(self._started(), data, wish)
        if "problem" in told:
            raise _refusal(told, param)
        return told, pixels

    def _ask(
        self, child: subprocess.Popen[bytes], data: bytes, wish: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes]:
        assert child.stdin
        assert child.stdout
        try:
            with _killed_after(child, self._seconds):
                child.stdin.write(json.dumps({"bytes": len(data), **wish}).encode() + b"\n" + data)
                child.stdin.flush()
                told: dict[str, Any] = json.loads(child.stdout.readline())
                pixels = child.stdout.read(told["bytes"])
        # It died on the picture: of a limit, of time, or of a hole in a decoder.
        except (OSError, ValueError):
            self._stop()
            return {"problem": "broken"}, b""
        if len(pixels) != told["bytes"]:
            self._stop()
            return {"problem": "broken"}, b""
        return told, pixels

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._stop()
        child = start(
            "limner.decoding",
            environment=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._child = child
        assert child.stdout
        with _killed_after(child, START):
            ready = child.stdout.readline()
        if ready != b"ready\n":
            self._stop()
            raise ServerError("The process that decodes pictures could not be started.")
        return child

    def _stop(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                _close(pipe)
        child.wait()


def _close(pipe: Any) -> None:
    # What was not sent cannot be sent any more.
    with contextlib.suppress(OSError):
        pipe.close()


@contextlib.contextmanager
def _killed_after(child: subprocess.Popen[bytes], seconds: float) -> Generator[None]:
    timer = threading.Timer(seconds, child.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refusal(told: Mapping[str, Any], param: str) -> InvalidRequestError:
    """In our own words: a library's text may tell of memory and paths."""
    match told["problem"]:
        case "pixels":
            message = (
                f"{param}: a picture may have at most {MAX_PIXELS} pixels; this one declares "
                f"{told['width']}x{told['height']}."
            )
            return InvalidRequestError(message, param=param, code="image_too_large")
        case "frames":
            return InvalidRequestError(f"{param}: the picture is animated; send one frame.", param=param)
        case _:
            message = f"{param}: could not decode image; it must be a whole PNG, JPEG or WebP file."
            return InvalidRequestError(message, param=param, code="invalid_image")
