"""PNG files of every kind of picture: read back by Pillow, by a reader of our own, and by Chromium where it is."""

import base64
import io
import re
import shutil
import struct
import subprocess
import sys
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner import filtering, png
from limner.engines.mini import MiniEngine
from limner.types import Image
from tests.pictures import KINDS, SIDE, drawing, photograph, plain

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def encoded(pixels: np.ndarray, **more: object) -> bytes:
    height, width, channels = pixels.shape
    return png.encode(pixels.tobytes(), width, height, channels=channels, **more)  # type: ignore[arg-type]


def pillow(data: bytes) -> np.ndarray:
    with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return np.asarray(picture)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a file, their checksums checked, read by the letter of the PNG specification."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        assert struct.unpack_from(">I", data, place + 8 + length) == (zlib.crc32(name + body),)
        found.append((name, body))
        place += 12 + length
    assert place == len(data)
    return found


def unfiltered(data: bytes) -> np.ndarray:
    """The pixels by the standard library alone."""
    (_, head), *rest = chunks(data)
    width, height, depth, colour, method, filtering, interlace = struct.unpack(">IIBBBBB", head)
    assert (depth, method, filtering, interlace) == (8, 0, 0, 0)
    channels = {2: 3, 6: 4}[colour]
    stream = zlib.decompressobj()
    raw = stream.decompress(b"".join(body for name, body in rest if name == b"IDAT")) + stream.flush()
    assert (stream.eof, stream.unused_data) == (True, b""), "one whole zlib stream with its Adler-32"
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    above, pixels = bytes(width * channels), []
    for kind, *row in lines.tolist():
        for place in range(len(row)):
            left = row[place - channels] if place >= channels else 0
            up, corner = above[place], above[place - channels] if place >= channels else 0
            row[place] = (row[place] + foretold(kind, left, up, corner)) % 256
        above = row
        pixels.append(row)
    return np.array(pixels, np.uint8).reshape(height, width, channels)


def foretold(kind: int, left: int, up: int, corner: int) -> int:
    """What the filter takes away, as section 9 of the specification defines it."""
    nearness = left + up - corner
    likeliest = min((left, up, corner), key=lambda value: abs(nearness - value))
    return (0, left, up, (left + up) // 2, likeliest)[kind]


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_comes_back(kind: str, channels: int) -> None:
    pixels = KINDS[kind](channels)
    data = encoded(pixels)
    assert np.array_equal(pillow(data), pixels)
    assert np.array_equal(unfiltered(data), pixels)
    assert encoded(pixels) == data, "the same input gives the same bytes"


@given(
    width=st.one_of(st.integers(1, 5), st.integers(1, 130)),
    height=st.one_of(st.integers(1, 5), st.integers(60, 75), st.integers(1, 130)),
    channels=st.sampled_from([3, 4]),
    kind=st.sampled_from(sorted(KINDS)),
)
@settings(max_examples=40, deadline=None)
def test_every_size_comes_back(width: int, height: int, channels: int, kind: str) -> None:
    pixels = np.ascontiguousarray(KINDS[kind](channels)[:height, :width])
    data = encoded(pixels)
    assert np.array_equal(pillow(data), pixels)
    assert np.array_equal(unfiltered(data), pixels)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 1), (2, 2), (65, 63), (333, 129), (9000, 70)])
def test_odd_shapes_come_back(width: int, height: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 8, (height, width, 3), np.uint8)
    assert np.array_equal(pillow(encoded(pixels)), pixels)


def by_pillow(pixels: np.ndarray) -> int:
    """The bytes of Pillow's default."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return len(buffer.getvalue())


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_files_are_hardly_larger_than_pillows_default(kind: str, times: int, channels: int) -> None:
    pixels = np.tile(KINDS[kind](channels), (times, times, 1))
    assert len(encoded(pixels)) <= 1.25 * by_pillow(pixels)


@pytest.mark.skipif(not (files("limner") / "mini" / "card.json").is_file(), reason="no weights")
@pytest.mark.parametrize(("side", "prompt"), [(256, "a red apple"), (512, "a cat on grass"), (1024, "a dog")])
async def test_what_the_embedded_model_draws_is_written_small(side: int, prompt: str) -> None:
    async with MiniEngine() as mini:
        request = mini.cards()[0].request(prompt, size=f"{side}x{side}", seed=3)
        drawn = [event async for event in mini.generate(request) if isinstance(event, Image)]
    pixels = np.frombuffer(drawn[0].data, np.uint8).reshape(side, side, 3)
    assert np.array_equal(pillow(encoded(pixels)), pixels)
    assert len(encoded(pixels)) <= 1.25 * by_pillow(pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("filter_type", [filtering.NONE, filtering.SUB, filtering.UP, filtering.MIXED])
def test_every_filter_can_be_undone(kind: str, filter_type: int) -> None:
    pixels = KINDS[kind](3)[:40, :50]
    rows = np.ascontiguousarray(pixels).reshape(40, 150)
    filtered = filtering.picture(rows, 3, filter_type)
    head = struct.pack(">IIBBBBB", 50, 40, 8, 2, 0, 0, 0)
    body = b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in ((b"IHDR", head), (b"IDAT", zlib.compress(filtered.tobytes())), (b"IEND", b""))
    )
    assert np.array_equal(unfiltered(png.SIGNATURE + body), pixels)
    assert np.array_equal(pillow(png.SIGNATURE + body), pixels)


def test_texts_stand_before_the_pixels_in_order() -> None:
    texts = [("parameters", "Katze 🐱\nSteps: 4"), ("limner", "{}"), ("XML:com.adobe.xmp", "<x:xmpmeta/>")]
    data = encoded(drawing(3), texts=texts)
    found = chunks(data)
    assert [name for name, _ in found] == [b"IHDR", b"iTXt", b"iTXt", b"iTXt", b"IDAT", b"IEND"]
    assert found[1][1] == b"parameters\0\0\0\0\0" + "Katze 🐱\nSteps: 4".encode()
    with PIL.Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert {key: picture.info[key] for key, _ in texts} == dict(texts)


def test_any_buffer_is_taken() -> None:
    raw = drawing(3).tobytes()
    wanted = png.encode(raw, SIDE, SIDE)
    assert png.encode(bytearray(raw), SIDE, SIDE) == wanted
    assert png.encode(memoryview(raw), SIDE, SIDE) == wanted


@pytest.mark.parametrize("missing", [["isal"], ["zlib_ng"], ["isal", "zlib_ng"]])
@pytest.mark.parametrize("kind", KINDS)
def test_without_the_fast_libraries_the_pixels_are_the_same(
    kind: str, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    pixels = KINDS[kind](3)
    data = encoded(pixels)
    assert np.array_equal(pillow(data), pixels)
    assert np.array_equal(unfiltered(data), pixels)


@pytest.mark.parametrize(
    ("size", "channels", "length"),
    [((4, 4), 3, 47), ((4, 4), 2, 32), ((0, 4), 3, 0), ((4, -1), 3, 12), ((4, 4), 4, 48)],
)
def test_sizes_that_do_not_fit_the_data_are_refused(size: tuple[int, int], channels: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"{size[0]}x{size[1]} pixels of {channels} bytes"):
        png.encode(bytes(length), *size, channels=channels)


@pytest.mark.parametrize("keyword", ["", "k" * 80, "nul\0", "кот"])
def test_a_keyword_that_png_does_not_allow_is_refused(keyword: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the last is Python's own UnicodeEncodeError
        encoded(plain(3), texts=[(keyword, "text")])


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_chromium_sees_the_same_pixels(tmp_path: Path) -> None:
    """Each picture is drawn on a canvas of a page, which says the sum of its bytes, each times its place."""
    wanted, tags = [], []
    # A canvas multiplies colours by alpha, so that only pixels that are wholly there or wholly not come back from it.
    cut = np.where(np.arange(SIDE)[:, None, None] % 3 == 0, 0, photograph(4) | np.array([0, 0, 0, 255], np.uint8))
    for pixels in [*(make(3) for make in KINDS.values()), cut.astype(np.uint8)]:
        alpha = pixels[..., 3:] if pixels.shape[2] == 4 else np.full((SIDE, SIDE, 1), 255, np.uint8)
        flat = np.dstack([pixels[..., :3], alpha]).ravel().astype(np.int64)
        wanted.append(int((flat * (np.arange(flat.size) % 8191)).sum()))
        tags.append(f"<img src='data:image/png;base64,{base64.b64encode(encoded(pixels)).decode()}'>")
    page = tmp_path / "page.html"
    page.write_text(
        "".join(tags) + "<p id=p></p><script>addEventListener('load', () => { p.textContent = 'sums=' +"
        "[...document.images].map(i => { const c = document.createElement('canvas'); c.width = i.naturalWidth;"
        "c.height = i.naturalHeight; const x = c.getContext('2d'); x.drawImage(i, 0, 0);"
        "return x.getImageData(0, 0, c.width, c.height).data.reduce((s, v, k) => s + v * (k % 8191), 0); }) })</script>"
    )
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shown = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    sums = re.search(r"sums=([\d,]+)", shown.stdout)
    assert sums, "the page said nothing"
    assert [int(each) for each in sums[1].split(",")] == wanted
