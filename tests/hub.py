"""A hub on this machine: it speaks the Hugging Face hub's HTTP API for repositories that the tests make.

Model info, files by commit with ETag, X-Linked-Etag and X-Repo-Commit, ranges, gates, and the failures of a bad day.
"""

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_a_token_of_the_tests"


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass
class Repository:
    """One repository at one commit."""

    name: str
    files: Mapping[str, bytes]
    licence: str = "apache-2.0"
    gated: bool = False
    # Paths whose bytes are not those that the listing's hashes are of.
    wrong: dict[str, bytes] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        names = "".join(sorted(self.files))
        return hashlib.sha1((self.name + names).encode(), usedforsecurity=False).hexdigest()

    def info(self) -> dict[str, Any]:
        siblings = []
        for path, data in self.files.items():
            entry: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": git_sha1(data)}
            if path.endswith((".safetensors", ".bin")):
                sha256 = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 135}
            siblings.append(entry)
        return {
            "id": self.name,
            "modelId": self.name,
            "sha": self.commit,
            "private": False,
            "gated": "auto" if self.gated else False,
            "tags": ["diffusers"],
            "cardData": {"license": self.licence} if self.licence else {},
            "siblings": siblings,
        }


@dataclass
class Hub:
    """The running server. `asked` are the requests that came: method, path, range."""

    url: str
    repositories: dict[str, Repository]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    # Values of the Authorization header that came.
    tokens: list[str] = field(default_factory=list)
    # Path -> bytes after which the connection is cut, once for each time it is written here.
    cuts: dict[str, list[int]] = field(default_factory=dict)
    # Another hub that large files are fetched from, as the real one sends its clients to a store.
    store: str = ""
    # Path -> seconds between two pieces of 100 kB, for what must be going on for a while.
    pace: dict[str, float] = field(default_factory=dict)
    # Answer ranges with the whole file, as some mirrors do.
    deaf: bool = False

    def add(self, repository: Repository) -> Repository:
        self.repositories[repository.name] = repository
        return repository

    def fetched(self, ending: str) -> list[str]:
        """The ranges in which a file was asked for."""
        return [wanted for method, path, wanted in self.asked if method == "GET" and path.endswith(ending)]


def of_folder(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(url=f"http://127.0.0.1:{server.server_port}", repositories={})
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.hub.tokens.append(self.headers.get("authorization", ""))
        self.hub.asked.append((self.command, path, self.headers.get("range", "")))
        if path.startswith("/api/models/"):
            self._info(path.removeprefix("/api/models/"), blobs="blobs" in parse_qs(url.query), body=body)
            return
        name, _, rest = path.strip("/").partition("/resolve/")
        repository = self.hub.repositories.get(name)
        revision, _, file = rest.partition("/")
        if repository is None or revision not in ("main", repository.commit):
            self._fail(404, "RepoNotFound" if repository is None else "RevisionNotFound")
        elif repository.gated and self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._fail(401, "GatedRepo")
        elif file not in repository.files:
            self._fail(404, "EntryNotFound")
        else:
            self._file(repository, file, body=body)

    def _info(self, rest: str, *, blobs: bool, body: bool) -> None:
        name, _, revision = rest.partition("/revision/")
        repository = self.hub.repositories.get(name)
        if repository is None or revision not in ("", "main", repository.commit):
            self._fail(404, "RepoNotFound" if repository is None else "RevisionNotFound")
            return
        told = repository.info()
        if not blobs:
            told["siblings"] = [{"rfilename": entry["rfilename"]} for entry in told["siblings"]]
        self._send(200, json.dumps(told).encode(), {"content-type": "application/json"}, body=body)

    def _file(self, repository: Repository, path: str, *, body: bool) -> None:
        data = repository.files[path]
        lfs = path.endswith((".safetensors", ".bin"))
        etag = hashlib.sha256(data).hexdigest() if lfs else git_sha1(data)
        data = repository.wrong.get(path, data)
        if lfs and self.hub.store:
            self._send(302, b"", {"location": self.hub.store + self.path}, body=body)
            return
        headers = {"etag": f'"{etag}"', "x-repo-commit": repository.commit, "accept-ranges": "bytes"}
        if lfs:
            headers |= {"x-linked-etag": f'"{etag}"', "x-linked-size": str(len(data))}
        status, whole = 200, len(data)
        wanted = self.headers.get("range", "")
        if wanted.startswith("bytes=") and not self.hub.deaf:
            first = int(wanted.removeprefix("bytes=").partition("-")[0])
            data, status = data[first:], 206
            headers["content-range"] = f"bytes {first}-{whole - 1}/{whole}"
        pace = self.hub.pace.get(path, 0.0)
        self._send(status, data, headers, body=body, cut=self._cut(path) if body else None, pace=pace)

    def _cut(self, path: str) -> int | None:
        waiting = self.hub.cuts.get(path)
        return waiting.pop(0) if waiting else None

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b"", {"x-error-code": code, "x-error-message": code}, body=True)

    def _send(
        self,
        status: int,
        data: bytes,
        headers: Mapping[str, str],
        *,
        body: bool,
        cut: int | None = None,
        pace: float = 0.0,
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if body:
            data = data if cut is None else data[:cut]
            size = 100_000 if pace else max(1, len(data))
            # Who waits for the bytes may have gone.
            with contextlib.suppress(ConnectionError):
                for first in range(0, len(data), size):
                    self.wfile.write(data[first : first + size])
                    time.sleep(pace)
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True
