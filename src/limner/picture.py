"""A finished picture, as the client and the command line hand it out."""

import io
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from limner.errors import InvalidRequestError, ServerError
from limner.types import OUTPUT_FORMATS, READERS, Size

if TYPE_CHECKING:
    import PIL.Image

# What a file's name promises.
SUFFIXES: Mapping[str, str] = MappingProxyType({f".{name}": name for name in OUTPUT_FORMATS} | {".jpg": "jpeg"})
# Signature, and length and name of the first chunk, which begins with width and height.
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
# `bytes` is a field below.
_Bytes = bytes


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A finished picture."""

    # The encoded file.
    bytes: _Bytes = field(repr=False)
    # Makes this very picture again with n = 1; None where the server does not tell.
    seed: int | None
    # The model that drew it, which is not always the name that was asked for.
    model: str
    # Pixels.
    size: Size

    @property
    def format(self) -> str:
        """What `bytes` really is: "png", "jpeg" or "webp"; "" when none of them."""
        if self.bytes.startswith(b"\x89PNG"):
            return "png"
        if self.bytes.startswith(b"\xff\xd8"):
            return "jpeg"
        return "webp" if self.bytes[:4] == b"RIFF" and self.bytes[8:12] == b"WEBP" else ""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the file and return its path.

        Raises:
            InvalidRequestError: the suffix names another format than the picture has.
            OSError: the file cannot be written.
        """
        target = Path(path)
        if SUFFIXES.get(target.suffix.lower(), self.format) != self.format:
            raise InvalidRequestError(
                f"{target.name} would hold a {self.format.upper()} picture: name it {target.stem}.{self.format}, "
                f'or ask for output_format="{SUFFIXES[target.suffix.lower()]}".',
                param="path",
            )
        target.write_bytes(self.bytes)
        return target

    def pil(self) -> "PIL.Image.Image":
        """The picture as a Pillow image, decoded."""
        import PIL.Image

        image = PIL.Image.open(io.BytesIO(self.bytes), formats=READERS)
        image.load()
        return image


def size_of(data: bytes) -> Size:
    """Width and height of an encoded picture, from its header. Raises ServerError."""
    if data.startswith(PNG_START) and len(data) >= len(PNG_START) + 8:
        width, height = struct.unpack_from(">II", data, len(PNG_START))
        return Size(width=width, height=height)
    import PIL.Image

    try:
        # Reads the header only.
        with PIL.Image.open(io.BytesIO(data), formats=READERS) as image:
            return Size(width=image.width, height=image.height)
    except OSError as error:
        raise ServerError("The server sent a file that is not a PNG, JPEG or WebP picture.") from error
