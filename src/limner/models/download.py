"""One file from the hub to its place in the hub's cache: resumed where an earlier try stopped, and its hash checked.

huggingface_hub itself keeps nothing of a download that was cut (since its version 2): for files of ten gigabytes and
more that is not good enough, so the bytes are fetched here. The layout is the hub's: blobs/<hash>, and
blobs/<hash>.incomplete until the hash is right.
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from limner.errors import HubError, LimnerError, StorageError
from limner.models import hub
from limner.models.files import HubFile

if TYPE_CHECKING:
    import httpx2
    from filelock import FileLock

# Called with the bytes of the file that are here now.
Told = Callable[[int], None]
PIECE = 1 << 20
# Seconds without a byte after which a try is over, and tries in a row without a byte before we give up.
STALL = 30.0
TRIES = 5


class Downloads:
    """The connection to the hub for one pull. Use `with`."""

    def __init__(self, *, wait: Callable[[float], None] = time.sleep) -> None:
        import httpx2

        token = hub.token()
        headers = {"accept-encoding": "identity"} | ({"authorization": f"Bearer {token}"} if token else {})
        # httpx2 sends the token to no other host when the hub redirects to its store.
        self._http = httpx2.Client(headers=headers, timeout=httpx2.Timeout(STALL), follow_redirects=True)
        self._wait = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def fetch(self, repository: str, commit: str, file: HubFile, blob: Path, told: Told) -> None:
        """Bring `file` to `blob`. What lies there already is checked and, where right, kept.

        Raises:
            HubError: the bytes are not those that the hub named ("wrong_hash"), or do not come.
            PermissionDeniedError: the repository is gated.
            StorageError: the disk is full or cannot be written.
        """
        part = blob.with_name(f"{blob.name}.incomplete")
        try:
            blob.parent.mkdir(parents=True, exist_ok=True)
            with _alone(blob):
                if blob.exists():
                    if digest_of(blob, file) == file.digest:
                        told(file.size)
                        return
                    # A copy that has rotted; a reader may have it open, so it is replaced and not written over.
                    blob.unlink()
                self._bring(hub.address(repository, commit, file.path), repository, file, part, told)
                os.replace(part, blob)
        except OSError as error:
            raise StorageError(f"{blob} cannot be written: {error.strerror or error}.", code=_code(error)) from error

    def _bring(self, url: str, repository: str, file: HubFile, part: Path, told: Told) -> None:
        import httpx2

        idle = 0
        while True:
            before = _length(part)
            try:
                self._try(url, repository, file, part, told)
                break
            except httpx2.TransportError as error:
                idle = 0 if _length(part) > before else idle + 1
                if idle >= TRIES:
                    raise HubError(
                        f"{file.path} of {repository} stopped at {_length(part)} of {file.size} bytes "
                        f"({type(error).__name__}); the same command goes on from there."
                    ) from error
                self._wait(min(8.0, 0.5 * 2**idle))
        if digest_of(part, file) != file.digest:
            part.unlink()
            raise HubError(
                f"{file.path} of {repository} is not what the hub named: its hash differs. The file was thrown away; "
                "pull again, and if that does not help, do not trust the hub or the proxy in between.",
                code="wrong_hash",
            )

    def _try(self, url: str, repository: str, file: HubFile, part: Path, told: Told) -> None:
        import httpx2

        have = _length(part)
        if have > file.size:
            part.unlink()
            have = 0
        told(have)
        if have == file.size and have:
            return
        headers = {"range": f"bytes={have}-"} if have else {}
        with self._http.stream("GET", url, headers=headers) as answer:
            if answer.status_code in (408, 416, 429) or answer.status_code >= 500:
                if answer.status_code == 416:
                    part.unlink(missing_ok=True)
                raise httpx2.RemoteProtocolError(f"the hub answered {answer.status_code}")
            if not answer.is_success:
                raise self._refused(answer, repository, file)
            # A server that does not know ranges sends the whole again.
            have = have if have and _continues(answer, have) else 0
            with part.open("ab" if have else "wb") as out:
                for piece in answer.iter_bytes():
                    have += len(piece)
                    if have > file.size:
                        # More than was named is not the file, and may never end.
                        raise HubError(f"The hub sends more bytes of {file.path} than it named.", code="wrong_hash")
                    out.write(piece)
                    told(have)
        if have < file.size:
            raise httpx2.RemoteProtocolError("the body ended early")

    @staticmethod
    def _refused(answer: "httpx2.Response", repository: str, file: HubFile) -> LimnerError:
        if answer.headers.get("x-error-code") == "GatedRepo" or answer.status_code in (401, 403):
            return hub.gated(repository)
        return HubError(f"The hub answered {answer.status_code} for {file.path} of {repository}.")


def _alone(blob: Path) -> "FileLock":
    """Two processes that pull one model bring each file once: the second waits, and finds it there."""
    from filelock import FileLock

    # Where the hub's own tools keep theirs.
    locks = blob.parents[2] / ".locks" / blob.parents[1].name
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{blob.name}.lock")


def digest_of(path: Path, file: HubFile) -> str:
    """The hash of what lies at `path`, of the kind that `file` was listed with: SHA-256, or git's SHA-1 of a blob."""
    if len(file.digest) == 64:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as data:
        while piece := data.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _continues(answer: "httpx2.Response", have: int) -> bool:
    """Whether the answer is the rest of the file, and not the whole of it or a refusal."""
    begins = re.match(r"bytes (\d+)-", answer.headers.get("content-range", ""))
    return answer.status_code == 206 and begins is not None and int(begins[1]) == have


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _code(error: OSError) -> str:
    import errno

    return "storage_full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "storage_failed"
