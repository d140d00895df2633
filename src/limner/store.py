"""Where pictures are kept so that a URL can answer: the protocol and its two implementations.

An id is 128 random bits in base32, so nobody can guess a neighbour's picture. The extension is the real format's.
"""

import base64
import contextlib
import os
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from limner.errors import NotFoundError, StorageError

# What names end in for each format. Clients know ".jpg"; a folder may hold names with ".jpeg" from earlier versions.
EXTENSIONS = MappingProxyType({"png": "png", "jpeg": "jpg", "webp": "webp"})
NAME = re.compile(r"[a-z2-7]{26}\.(png|jpe?g|webp)")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A picture that is kept."""

    # Id and extension: "ab…yz.png".
    name: str
    # Encoded file.
    data: bytes
    # Unix seconds.
    created: float

    @property
    def id(self) -> str:
        """The name without its extension."""
        return self.name.partition(".")[0]

    @property
    def output_format(self) -> str:
        """ "png", "jpeg" or "webp"."""
        return self.name.partition(".")[2].replace("jpg", "jpeg")


class ImageStore(Protocol):
    """Put, get, delete, list, and sweep what is old."""

    def put(self, data: bytes, output_format: str) -> str:
        """Keep a picture; the name to get it by. Raises StorageError."""
        ...

    def get(self, name: str) -> Stored:
        """Raises NotFoundError."""
        ...

    def delete(self, name: str) -> None:
        """Raises NotFoundError."""
        ...

    def names(self) -> list[str]:
        """All names, oldest first."""
        ...

    def sweep(self, older_than: float) -> int:
        """Delete what was put more than so many seconds ago; how many that were."""
        ...


def new_name(output_format: str) -> str:
    """A fresh unguessable name with the extension of `output_format`."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower() + f".{EXTENSIONS[output_format]}"


class MemoryStore:
    """Pictures in this process; gone with it. For tests and for servers that may not write."""

    def __init__(self) -> None:
        self._kept: dict[str, Stored] = {}

    def put(self, data: bytes, output_format: str) -> str:
        name = new_name(output_format)
        self._kept[name] = Stored(name=name, data=data, created=time.time())
        return name

    def get(self, name: str) -> Stored:
        if name not in self._kept:
            raise missing()
        return self._kept[name]

    def delete(self, name: str) -> None:
        if self._kept.pop(name, None) is None:
            raise missing()

    def names(self) -> list[str]:
        return list(self._kept)

    def sweep(self, older_than: float) -> int:
        old = [s.name for s in self._kept.values() if s.created <= time.time() - older_than]
        for name in old:
            del self._kept[name]
        return len(old)


class FileStore:
    """Pictures as files of one folder; the file's time is the picture's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"The folder for pictures cannot be made: {error.strerror}.") from error

    def put(self, data: bytes, output_format: str) -> str:
        name = new_name(output_format)
        part = self.folder / f".{name}.part"
        try:
            part.write_bytes(data)
            # Renamed when whole, so that a reader never sees half a picture.
            os.replace(part, self.folder / name)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise StorageError(f"The picture could not be written: {error.strerror}.") from error
        return name

    def get(self, name: str) -> Stored:
        path = self._path(name)
        try:
            return Stored(name=name, data=path.read_bytes(), created=path.stat().st_mtime)
        except FileNotFoundError:
            raise missing() from None
        except OSError as error:
            raise StorageError(f"The picture could not be read: {error.strerror}.") from error

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise missing() from None

    def names(self) -> list[str]:
        times: dict[str, float] = {}
        for path in self._files():
            # One that a sweep takes meanwhile is not there any more.
            with contextlib.suppress(FileNotFoundError):
                times[path.name] = path.stat().st_mtime
        return sorted(times, key=times.__getitem__)

    def sweep(self, older_than: float) -> int:
        limit, swept = time.time() - older_than, 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= limit:
                    path.unlink()
                    swept += 1
        return swept

    def _files(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]

    def _path(self, name: str) -> Path:
        # Names are checked, never joined raw: "../" does not match.
        if not NAME.fullmatch(name):
            raise missing()
        return self.folder / name


def missing() -> NotFoundError:
    """The error for a name that nothing is kept under."""
    return NotFoundError("There is no such picture; pictures are deleted when they are old.")
