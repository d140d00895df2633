"""Pictures from strangers: what is decoded, what is refused, and that nothing they send harms this process."""

import contextlib
import io
import os
import random
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from typing import Any

import PIL.Image
import pytest

from limner import decoding
from limner.errors import InvalidRequestError
from limner.sources import Source
from limner.uploads import MAX_BYTES, PictureReader

# Pictures that are damaged at random; 500 take a minute.
MUTATIONS = int(os.environ.get("MUTATED_PICTURES", "100"))


@pytest.fixture(scope="module")
def reader() -> Iterator[PictureReader]:
    opened = PictureReader()
    yield opened
    opened.close()


def file(picture: PIL.Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def read(reader: PictureReader, data: bytes, max_side: int = 2048) -> Source:
    return reader.picture(data, param="image[0]", max_side=max_side)


def refused(reader: PictureReader, data: bytes) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read(reader, data)
    assert caught.value.param == "image[0]"
    return caught.value


def drawn(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> PIL.Image.Image:
    return PIL.Image.linear_gradient("L").resize(size).convert("RGB").convert(mode)


@pytest.mark.parametrize("kind", decoding.FORMATS)
def test_each_format_is_read(reader: PictureReader, kind: str) -> None:
    source = read(reader, file(drawn(), kind))
    assert (source.width, source.height, len(source.pixels)) == (40, 30, 40 * 30 * 4)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_each_mode_becomes_rgba(reader: PictureReader, mode: str) -> None:
    picture = PIL.Image.new("RGB", (8, 8), "white").convert("RGBA" if mode == "LA" else "RGB").convert(mode)
    source = read(reader, file(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert source.pixels == b"\xff" * 4 * 64


def test_sixteen_bits_and_transparent_palettes(reader: PictureReader) -> None:
    deep = PIL.Image.new("I;16", (4, 4), 0x8080)
    assert set(read(reader, file(deep)).pixels[::4]) == {0x80}
    palette = PIL.Image.new("P", (4, 4), 0)
    assert read(reader, file(palette, transparency=0)).pixels[3] == 0


def test_it_is_turned_as_exif_says_and_shrunk_to_the_side(reader: PictureReader) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 8
    source = read(reader, file(drawn(), "JPEG", exif=exif))
    assert (source.width, source.height) == (30, 40)
    source = read(reader, file(drawn(size=(400, 100))), max_side=100)
    assert (source.width, source.height) == (100, 25)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A small PNG that unpacks to width x height grey pixels."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_by_its_header(reader: PictureReader) -> None:
    """169 million pixels in a few kilobytes: Pillow alone would only warn."""
    data = file(PIL.Image.new("1", (13_000, 13_000)))
    assert len(data) < 100_000
    error = refused(reader, data)
    assert error.code == "image_too_large"
    assert "13000x13000" in error.message


def test_a_header_that_lies_is_refused(reader: PictureReader) -> None:
    data = bytearray(bomb(64, 64))
    data[16:24] = struct.pack(">II", 4000, 4000)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    assert refused(reader, bytes(data)).code == "invalid_image"


def test_moving_pictures_are_refused(reader: PictureReader) -> None:
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("WEBP", "PNG"):
        data = file(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
        assert "animated" in refused(reader, data).message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        os.urandom(1000),
        file(PIL.Image.new("RGB", (64, 64)))[:-40],
        file(drawn(size=(400, 300)), "JPEG")[:900],
        file(drawn(), "WEBP")[:30],
        file(drawn(), "GIF"),
        file(drawn(), "BMP"),
        file(drawn(), "TIFF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    ],
    ids=["empty", "text", "noise", "short png", "short jpeg", "short webp", "gif", "bmp", "tiff", "eps", "svg"],
)
def test_what_is_no_picture_reads_the_same_for_all(reader: PictureReader, data: bytes) -> None:
    error = refused(reader, data)
    assert error.code == "invalid_image"
    # Never a library's text, which may tell of paths and memory.
    assert error.message == "image[0]: could not decode image; it must be a whole PNG, JPEG or WebP file."


def test_a_file_that_is_too_long_is_not_even_looked_at() -> None:
    unstarted = PictureReader()
    assert refused(unstarted, bytes(MAX_BYTES + 1)).code == "image_too_large"
    assert unstarted.pid is None


def test_mutated_pictures_are_pictures_or_refused(reader: PictureReader) -> None:
    chance = random.Random(7)
    whole = [file(drawn(size=(60, 50)), kind) for kind in decoding.FORMATS]
    for _ in range(MUTATIONS):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(InvalidRequestError):
            source = read(reader, bytes(data))
            assert len(source.pixels) == 4 * source.width * source.height
    assert read(reader, whole[0]).width == 60


def test_one_process_serves_many_and_a_dead_one_is_replaced(reader: PictureReader) -> None:
    good = file(drawn())
    read(reader, good)
    first = reader.pid
    read(reader, good)
    assert first is not None
    assert reader.pid == first
    os.kill(first, 9)
    # Whether it is noticed before or while it is asked, the next but one is served.
    try:
        read(reader, good)
    except InvalidRequestError:
        read(reader, good)
    assert reader.pid not in (None, first)


def test_a_picture_that_takes_too_long_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = PictureReader(seconds=0.2)
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(slow, "_child", child)
    begun = time.monotonic()
    assert refused(slow, file(drawn())).code == "invalid_image"
    assert time.monotonic() - begun < 30
    assert child.returncode is not None
    assert slow.pid is None


def test_the_process_is_limited_and_sees_no_secrets(reader: PictureReader, monkeypatch: pytest.MonkeyPatch) -> None:
    read(reader, file(drawn()))
    status = f"/proc/{reader.pid}"
    if not os.path.isdir(status):
        pytest.skip("no /proc here")
    with open(f"{status}/limits") as limits:
        told = {line[:26].strip(): line[26:].split()[0] for line in limits}
    assert told["Max address space"] == str(decoding.MEMORY)
    assert told["Max file size"] == "0"
    assert int(told["Max cpu time"]) < 1000
    monkeypatch.setenv("LIMNER_API_KEY", "a secret")
    fresh = PictureReader()
    read(fresh, file(drawn()))
    with open(f"/proc/{fresh.pid}/environ") as seen:
        assert "secret" not in seen.read()
    fresh.close()


def test_memory_comes_back(reader: PictureReader) -> None:
    """The largest pictures that are taken, again and again: the process stays within its limit and serves on."""
    large = bomb(4096, 4096)
    for _ in range(3):
        assert read(reader, large).width == 2048
    assert read(reader, file(drawn())).width == 40
