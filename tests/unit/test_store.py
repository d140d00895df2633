"""The folder of pictures: whole files only, other people's files left alone, failures told."""

import os
import time
from pathlib import Path

import pytest

from limner.errors import StorageError
from limner.store import NAME, FileStore, new_name


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "a" / "b")


def test_the_folder_is_made(store: FileStore) -> None:
    assert store.folder.is_dir()


def test_pictures_outlive_the_process_that_put_them(store: FileStore) -> None:
    name = store.put(b"picture", "png")
    assert FileStore(store.folder).get(name).data == b"picture"


def test_a_file_is_there_whole_or_not_at_all(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        store.put(b"picture", "png")
    assert store.names() == []
    assert list(store.folder.iterdir()) == []


def test_a_half_written_file_is_no_picture(store: FileStore) -> None:
    """As a crash leaves it: neither listed nor swept as one."""
    (store.folder / f".{new_name('png')}.part").write_bytes(b"half")
    assert store.names() == []


def test_other_files_are_not_swept(store: FileStore) -> None:
    mine = store.folder / "holiday.png"
    mine.write_bytes(b"mine")
    os.utime(mine, (0, 0))
    name = store.put(b"picture", "png")
    os.utime(store.folder / name, (time.time() - 100,) * 2)
    assert store.sweep(older_than=50) == 1
    assert mine.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be made"):
        FileStore(tmp_path / "file" / "pictures")


def test_a_folder_that_went_away_is_told(store: FileStore) -> None:
    store.folder.rmdir()
    with pytest.raises(StorageError, match="could not be written"):
        store.put(b"picture", "png")


def test_messages_do_not_name_paths(store: FileStore) -> None:
    store.folder.rmdir()
    with pytest.raises(StorageError) as caught:
        store.put(b"picture", "png")
    assert str(store.folder) not in caught.value.message


def test_a_name_has_128_random_bits() -> None:
    assert NAME.fullmatch(new_name("png"))
    assert len({new_name("png") for _ in range(1000)}) == 1000
