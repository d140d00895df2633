"""PNG files of every kind of picture: read back by Pillow, by a reader of our own, and by Chromium where it is."""

import base64
import io
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limner import png

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIDE = 256


def photograph(channels: int) -> np.ndarray:
    """Detail at every scale and the grain of a sensor."""
    dice = np.random.default_rng(1)
    pixels = dice.normal(0, 2, (SIDE, SIDE, channels))
    for octave in range(2, 8):
        coarse = PIL.Image.fromarray(dice.normal(0, 120 / 2**octave, (2**octave, 2**octave)).astype(np.float32))
        pixels += np.asarray(coarse.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))[..., None]
    return np.clip(pixels + 128, 0, 255).astype(np.uint8)


def drawing(channels: int) -> np.ndarray:
    """Flat shapes with soft edges."""
    mode = {3: "RGB", 4: "RGBA"}[channels]
    picture = PIL.Image.new(mode, (SIDE * 4, SIDE * 4), (250, 248, 240, 0)[:channels])
    pen = PIL.ImageDraw.Draw(picture)
    pen.ellipse((200, 250, 800, 850), fill=(255, 200, 40, 255)[:channels])
    pen.polygon([(300, 300), (420, 60), (500, 320)], fill=(120, 60, 20, 128)[:channels])
    pen.line([(100, 900), (950, 700)], fill=(20, 60, 200, 255)[:channels], width=30)
    return np.asarray(picture.resize((SIDE, SIDE), PIL.Image.Resampling.BOX))


def shaded(channels: int) -> np.ndarray:
    """Smooth: neighbours differ by little and hardly anything repeats."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    planes = [(x + y) // 2, np.hypot(x - 90, y - 120), 255 - y, 40 + x // 2]
    return np.stack(planes[:channels], -1).clip(0, 255).astype(np.uint8)


def enlarged(channels: int) -> np.ndarray:
    """As our small model's pictures are at larger sizes: drawn smaller and resampled, so that edges are soft."""
    small = PIL.Image.fromarray(drawing(channels)).resize((64, 64), PIL.Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS))


def noise(channels: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, channels), np.uint8)


def plain(channels: int) -> np.ndarray:
    return np.full((SIDE, SIDE, channels), 77, np.uint8)


KINDS = {each.__name__: each for each in (photograph, drawing, enlarged, shaded, noise, plain)}


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
    """The pixels by the standard library alone, for the three filters that we use."""
    (_, head), *rest = chunks(data)
    width, height, depth, colour, method, filtering, interlace = struct.unpack(">IIBBBBB", head)
    assert (depth, method, filtering, interlace) == (8, 0, 0, 0)
    channels = {2: 3, 6: 4}[colour]
    stream = zlib.decompressobj()
    raw = stream.decompress(b"".join(body for name, body in rest if name == b"IDAT")) + stream.flush()
    assert (stream.eof, stream.unused_data) == (True, b""), "one whole zlib stream with its Adler-32"
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * channels)
    pixels = np.zeros((height, width, channels), np.uint8)
    for y, line in enumerate(lines):
        row = line[1:].reshape(width, channels)
        if line[0] == png.SUB:
            row = np.cumsum(row, axis=0, dtype=np.uint8)
        elif line[0] == png.UP and y:
            row = row + pixels[y - 1]
        else:
            assert line[0] in (png.NONE, png.UP)
        pixels[y] = row
    return pixels


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
@settings(max_examples=60, deadline=None)
def test_every_size_comes_back(width: int, height: int, channels: int, kind: str) -> None:
    pixels = np.ascontiguousarray(KINDS[kind](channels)[:height, :width])
    data = encoded(pixels)
    assert np.array_equal(pillow(data), pixels)
    assert np.array_equal(unfiltered(data), pixels)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 3000), (3000, 1), (2, 2), (65, 63), (333, 129), (9000, 70)])
def test_odd_shapes_come_back(width: int, height: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 8, (height, width, 3), np.uint8)
    assert np.array_equal(pillow(encoded(pixels)), pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_hardly_larger_than_pillows_default(kind: str) -> None:
    pixels, buffer = KINDS[kind](3), io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    assert len(encoded(pixels)) <= 1.25 * len(buffer.getvalue())


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
    for make in KINDS.values():
        pixels = make(3)
        flat = np.dstack([pixels, np.full((SIDE, SIDE), 255, np.uint8)]).ravel().astype(np.int64)
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
