"""What every ImageStore promises, asked of each one that there is."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from limner.errors import NotFoundError
from limner.store import EXTENSIONS, FileStore, ImageStore, MemoryStore
from limner.types import OUTPUT_FORMATS

PICTURE = b"\x89PNG pretended"


@pytest.fixture(params=[MemoryStore, FileStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    return FileStore(tmp_path / "pictures") if request.param is FileStore else request.param()


def test_what_is_put_is_got(store: ImageStore) -> None:
    before = time.time()
    stored = store.get(name := store.put(PICTURE, "png"))
    assert (stored.name, stored.data) == (name, PICTURE)
    assert before - 2 <= stored.created <= time.time() + 2


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_the_name_ends_in_the_format(store: ImageStore, output_format: str) -> None:
    name = store.put(PICTURE, output_format)
    assert re.fullmatch(rf"[a-z2-7]{{26}}\.{EXTENSIONS[output_format]}", name)
    assert store.get(name).output_format == output_format
    assert store.get(name).id == name[:26]


def test_equal_pictures_have_names_that_tell_nothing_of_each_other(store: ImageStore) -> None:
    names = {store.put(PICTURE, "png") for _ in range(200)}
    assert len(names) == 200
    # No place in the names is the same for all: nothing is counted, timed or hashed into them.
    assert all(len({name[place] for name in names}) > 8 for place in range(25))


def test_a_deleted_picture_is_gone(store: ImageStore) -> None:
    kept, name = store.put(b"kept", "png"), store.put(PICTURE, "png")
    store.delete(name)
    with pytest.raises(NotFoundError):
        store.get(name)
    with pytest.raises(NotFoundError):
        store.delete(name)
    assert store.names() == [kept]


@pytest.mark.parametrize(
    "name",
    ["", "a.png", "a" * 26 + ".png", "a" * 26 + ".svg", "../secret.png", "/etc/passwd", "..", ".", "\0", "a" * 5000,
     "A" * 26 + ".png", "a" * 26 + ".png\n", "a" * 26 + ".png/..", "%2e%2e%2fsecret.png"],
)  # fmt: skip
def test_no_other_name_finds_anything(store: ImageStore, name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"not yours")
    store.put(PICTURE, "png")
    with pytest.raises(NotFoundError):
        store.get(name)
    with pytest.raises(NotFoundError):
        store.delete(name)
    assert (tmp_path / "secret.png").exists()


def test_names_are_oldest_first(store: ImageStore) -> None:
    assert store.names() == []
    put = []
    for _ in range(3):
        put.append(store.put(PICTURE, "png"))
        time.sleep(0.02)
    assert store.names() == put


def test_sweeping_takes_the_old_and_leaves_the_new(store: ImageStore) -> None:
    old = store.put(PICTURE, "png")
    time.sleep(0.6)
    new = store.put(PICTURE, "png")
    assert store.sweep(older_than=3600) == 0
    assert store.sweep(older_than=0.3) == 1
    assert store.names() == [new]
    with pytest.raises(NotFoundError):
        store.get(old)


def test_many_may_put_at_once(store: ImageStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda number: store.put(f"{number}".encode(), "webp"), range(100)))
    assert [store.get(name).data for name in names] == [f"{number}".encode() for number in range(100)]
    assert sorted(store.names()) == sorted(names)


def test_a_picture_may_be_empty_or_large(store: ImageStore) -> None:
    for data in (b"", bytes(5_000_000)):
        assert store.get(store.put(data, "png")).data == data


def test_names_are_told_while_others_delete(store: ImageStore) -> None:
    names = [store.put(PICTURE, "png") for _ in range(300)]
    with ThreadPoolExecutor(2) as threads:
        gone = threads.submit(lambda: [store.delete(name) for name in names])
        while not gone.done():
            assert set(store.names()) <= set(names)
        gone.result()
    assert store.names() == []


def test_a_folder_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 26}.jpeg").write_bytes(PICTURE)
    assert FileStore(tmp_path).get(f"{'a' * 26}.jpeg").output_format == "jpeg"
