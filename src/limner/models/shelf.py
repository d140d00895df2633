"""The models that were pulled: the lock file that pins them, and their files in the hub's cache.

The lock says for each name which repository and commit it is, under which licence, and the hash, size and time of each
file. The files lie where every program of the hub's family looks: models--OWNER--NAME/{blobs,refs,snapshots}.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from limner.errors import EngineError, InvalidRequestError, ModelNotFoundError, StorageError
from limner.models import hub
from limner.models.download import digest_of
from limner.models.files import HubFile
from limner.types import nearest

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One file of a pulled model, as it was when its hash was right."""

    # SHA-256, or git's SHA-1 of a blob.
    digest: str
    # Bytes.
    size: int
    # Nanoseconds; when this or the size differs, the hash is looked at again before the file is used.
    mtime: int


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """One pulled model."""

    name: str
    # owner/name at the hub; "" for a folder of this machine.
    repository: str
    # 40 hex digits; "" for a folder.
    commit: str
    # "catalogue": the commit is the one that the catalogue names. "pull": it is what the hub had when it was pulled.
    # "revision": the user named it. "folder": there is none.
    pinned: str
    licence: str
    # Somebody said yes to the licence, where it asked for that.
    accepted: bool
    # The pipeline's class.
    pipeline: str
    variant: str
    # Where model_index.json is.
    folder: str
    # Unix seconds.
    pulled: int
    # For a single file of weights: a folder with the settings that it leaves out.
    config: str = ""
    files: Mapping[str, Kept] = field(default_factory=dict[str, Kept], repr=False)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(kept.size for kept in self.files.values())

    @property
    def weights(self) -> int:
        """Bytes of its weights."""
        return sum(kept.size for path, kept in self.files.items() if path.endswith(".safetensors") or not path)

    def told(self) -> dict[str, Any]:
        """For JSON, without the list of files."""
        return {key: value for key, value in asdict(self).items() if key != "files"} | {"bytes": self.size}

    def check(self) -> None:
        """Look whether the files are the ones that were pulled; cheap while nobody touched them.

        Raises:
            EngineError: a file is missing or differs; its code is "model_corrupt".
        """
        for path, kept in self.files.items():
            file = Path(self.folder) / path if path else Path(self.folder)
            try:
                state = file.stat()
                same = state.st_size == kept.size and (
                    state.st_mtime_ns == kept.mtime
                    or digest_of(file, HubFile(path=path, size=kept.size, digest=kept.digest)) == kept.digest
                )
            except OSError:
                same = False
            if not same:
                again = f"`limner pull {self.name}` mends it" if self.repository else "add the folder again"
                raise EngineError(
                    f"{path or self.folder} of {self.name} is not the file that was pulled; {again}.",
                    code="model_corrupt",
                )


class Shelf:
    """The lock file. Safe beside other processes: it is replaced whole, under a lock."""

    def __init__(self, lock: Path) -> None:
        self.path = lock

    def all(self) -> dict[str, Pulled]:
        """Every pulled model, by name. Raises StorageError where the file cannot be read."""
        try:
            told: Any = json.loads(self.path.read_text(encoding="utf-8"))
            if told["version"] != VERSION:
                raise StorageError(
                    f"{self.path} was written by another version of Limner; move it away and pull again."
                )
            return {name: _pulled(name, facts) for name, facts in told["models"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path} cannot be read ({error}); move it away and pull again.") from error

    def get(self, name: str) -> Pulled:
        """Raises ModelNotFoundError with the nearest names."""
        found = self.all()
        if name in found:
            return found[name]
        close = nearest(name, list(found)) or list(found)
        hint = f"pulled are {', '.join(close)}" if close else "nothing is pulled"
        raise ModelNotFoundError(f"{name[:80]!r} is not pulled; {hint}.", param="model")

    def put(self, pulled: Pulled) -> None:
        """Write it in, in place of one of the same name."""
        with self._changing() as models:
            models[pulled.name] = pulled

    def remove(self, name: str) -> int:
        """Forget it, and delete its files from the hub's cache where no other name here needs them; bytes freed.

        A folder of the user's own stays.
        """
        gone = self.get(name)
        with self._changing() as models:
            del models[name]
            shared = any((m.repository, m.commit) == (gone.repository, gone.commit) for m in models.values())
        return 0 if shared or not gone.repository else _delete(gone)

    def changed(self) -> int:
        """A number that differs when the lock was written; 0 while there is none."""
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return 0

    @contextmanager
    def _changing(self) -> Generator[dict[str, Pulled]]:
        from filelock import FileLock

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.path}.lock", timeout=30):
                models = self.all()
                yield models
                told = {"version": VERSION, "models": {name: _facts(models[name]) for name in sorted(models)}}
                with tempfile.NamedTemporaryFile(
                    "w", encoding="utf-8", dir=self.path.parent, prefix=".models-", delete=False
                ) as file:
                    json.dump(told, file, indent=1)
                os.replace(file.name, self.path)
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}.") from error


def kept_of(path: Path, file: HubFile) -> Kept:
    """The record of a file whose hash is right."""
    state = path.stat()
    return Kept(digest=file.digest, size=state.st_size, mtime=state.st_mtime_ns)


def snapshot(repository: str, commit: str) -> Path:
    """The folder of a commit in the hub's cache."""
    return _home(repository) / "snapshots" / commit


def blob(repository: str, file: HubFile) -> Path:
    """Where the bytes of a file lie in the hub's cache."""
    return _home(repository) / "blobs" / file.digest


def place(repository: str, commit: str, file: HubFile) -> Path:
    """Let the snapshot of `commit` name the bytes of `file`, by a link, or by a copy where there are no links."""
    target = snapshot(repository, commit) / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    here = blob(repository, file)
    wanted = os.path.relpath(here, target.parent)
    if target.is_symlink() and os.readlink(target) == wanted:
        return target
    target.unlink(missing_ok=True)
    try:
        target.symlink_to(wanted)
    except OSError:
        # Windows without developer mode.
        shutil.copyfile(here, target)
    return target


def refer(repository: str, branch: str, commit: str) -> None:
    """Remember what a branch meant, as the hub's own tools do, so that they find it offline."""
    ref = _home(repository) / "refs" / branch
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit)


def check_name(name: str) -> str:
    """A name that a request can carry and a shell does not mind. Raises InvalidRequestError."""
    plain = name.isascii() and all(c.isalnum() or c in "-_./+" for c in name)
    if not name or not plain or len(name) > 120 or name.startswith(("-", "/", ".")) or ".." in name:
        raise InvalidRequestError(
            f"A model's name has letters, digits and -_./+ and no more than 120 of them; got {name[:60]!r}.",
            param="model",
        )
    return name


def _home(repository: str) -> Path:
    from huggingface_hub.file_download import repo_folder_name

    return hub.cache_folder() / repo_folder_name(repo_id=repository, repo_type="model")


def _delete(gone: Pulled) -> int:
    """By the hub's own strategy: what other snapshots of the repository need stays."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir()
    except CacheNotFound:
        return 0
    plan = cache.delete_revisions(gone.commit)
    plan.execute()
    return plan.expected_freed_size


def _facts(pulled: Pulled) -> dict[str, Any]:
    return {key: value for key, value in asdict(pulled).items() if key != "name"}


def _pulled(name: str, facts: Mapping[str, Any]) -> Pulled:
    files = {path: Kept(**kept) for path, kept in cast(Mapping[str, Any], facts["files"]).items()}
    whole: dict[str, Any] = {**facts, "files": files, "name": name}
    return Pulled(**whole)
