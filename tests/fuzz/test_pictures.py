"""500 mutated pictures and bombs sent to a server process: it lives on, says what is wrong, its memory comes back."""

import json
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import PIL.Image
import PIL.PngImagePlugin
import pytest

from tests.processes import FAKE, PATIENCE, Served, serving
from tests.sending import EDITS, VARIATIONS, coloured, data_url, file, form

MUTATED, BOMBS, LARGE = 425, 60, 15
# Bytes that the server may have grown by: the C library keeps some of what was freed. The large pictures alone, which
# are taken, are 240 MB once decoded.
KEPT = 120_000_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with serving([*FAKE, "--pictures", str(tmp_path / "pictures")], tmp_path) as served:
        yield served


def resident(served: Served) -> int:
    """Bytes of memory that the process has; 0 where that cannot be seen."""
    path = Path(f"/proc/{served.process.pid}/statm")
    return int(path.read_text().split()[1]) * 4096 if path.exists() else 0


def children(served: Served) -> list[int]:
    path = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def chunk(kind: bytes, data: bytes, right: bool = True) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ (not right))


def png(head: bytes, *chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IEND", b"")


def seeds() -> list[bytes]:
    """Whole pictures of every kind that is taken, and some metadata to break."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    info = PIL.PngImagePlugin.PngInfo()
    info.add_itxt("limner", "{}" * 50, zip=True)
    slope = PIL.Image.linear_gradient("L").resize((60, 50))
    modes = ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]
    found = [file(slope.convert("RGB" if mode == "P" else "L").convert(mode)) for mode in modes if mode != "I;16"]
    found += [file(PIL.Image.new("I;16", (60, 50), 500)), file(slope, pnginfo=info)]
    found += [file(slope.convert("RGB"), "JPEG", exif=exif), file(slope.convert("CMYK"), "JPEG", progressive=True)]
    return [*found, file(slope.convert("RGBA"), "WEBP"), file(slope.convert("RGB"), "WEBP", lossless=True, exif=exif)]


def mutated(chance: random.Random, whole: list[bytes]) -> bytes:
    """A picture with bytes changed, cut out, repeated, spliced with another's, or its end lost."""
    data = bytearray(chance.choice(whole))
    for _ in range(chance.randint(1, 8)):
        at, length = chance.randrange(len(data)), chance.randint(1, 40)
        match chance.randrange(6):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case 3:
                other = chance.choice(whole)
                data[at : at + length] = other[at : at + 2 * length]
            case 4:
                data[at : at + 4] = struct.pack(">I", chance.choice([0, 1, 2**31 - 1, 2**32 - 1, 65535, 65536]))
            case _:
                del data[max(1, len(data) - length) :]
        data = data or bytearray(b"x")
    if data.startswith(b"\x89PNG") and chance.random() < 0.5:
        # With checksums that are right the damage gets further in.
        return mended(bytes(data))
    return bytes(data)


def mended(data: bytes) -> bytes:
    at, out = 8, [data[:8]]
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        body = data[at + 8 : at + 8 + length]
        out.append(chunk(data[at + 4 : at + 8], body))
        at += 12 + length
    return b"".join(out)


def bombs() -> list[bytes]:
    """Small files that would become large, or take long."""
    zeros = zlib.compress(bytes(30_000_000), 9)
    small = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress((b"\0" + bytes(24)) * 8))
    found = [
        file(PIL.Image.new("1", (13_000, 13_000))),
        file(PIL.Image.new("L", (4096, 4096))),
        png(struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0), rows),
        png(struct.pack(">IIBBBBB", 4096, 4096, 16, 6, 0, 0, 1), rows),
        png(struct.pack(">IIBBBBB", 0, 0, 8, 2, 0, 0, 0), rows),
        # Eight pixels, and thirty megabytes of them.
        png(small, chunk(b"IDAT", zeros)),
        png(small, chunk(b"iCCP", b"icc\0\0" + zeros), rows),
        png(small, chunk(b"zTXt", b"a\0\0" + zeros), rows),
        png(small, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros), rows),
        png(small, chunk(b"iTXt", b"a\0\1\0\0\0" + zeros) * 40, rows),
        png(small, *(chunk(b"tEXt", b"a\0" + bytes(1000)) for _ in range(2000)), rows),
        png(small, chunk(b"eXIf", b"MM\0*" + b"\xff" * 60_000), rows),
        png(small, *(chunk(b"fdAT", bytes(100)) for _ in range(3000)), rows),
    ]
    huge = bytearray(file(PIL.Image.new("RGB", (64, 64)), "JPEG"))
    at = huge.index(b"\xff\xc0")
    huge[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    found.append(bytes(huge))
    scans = file(PIL.Image.linear_gradient("L").resize((600, 600)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    # A progressive JPEG of thousands of scans: libjpeg walks the whole picture for each.
    found.append(scans[:-2] + scans[last:-2] * 4000 + scans[-2:])
    wide = bytearray(file(PIL.Image.new("RGB", (64, 64)), "WEBP", lossless=True))
    at = wide.index(b"VP8L") + 9
    wide[at : at + 4] = struct.pack("<I", 0x0FFFFFFF)
    found.append(bytes(wide))
    frames = [PIL.Image.new("RGB", (300, 300), (number, 0, 0)) for number in range(60)]
    for kind in ("WEBP", "PNG"):
        found.append(file(frames[0], kind, save_all=True, append_images=frames[1:], duration=10))
    return found


def send(client: httpx2.Client, chance: random.Random, data: bytes) -> httpx2.Response:
    """In one of the ways in which pictures come."""
    fields: list[tuple[str, bytes | str]] = [("prompt", "a"), ("steps", "1"), ("size", "64x64")]
    match chance.randrange(5):
        case 0:
            return client.post(EDITS, **form([*fields, ("image", data)], "BoUnDaRy7"))
        case 1:
            return client.post(EDITS, **form([*fields, ("image", coloured()), ("mask", data)], "BoUnDaRy7"))
        case 2:
            return client.post(VARIATIONS, **form([*fields, ("image[]", data)], "BoUnDaRy7"))
        case 3:
            return client.post("/v1/files", **form([("purpose", "vision"), ("file", data)], "BoUnDaRy7"))
        case _:
            body: dict[str, Any] = {
                "prompt": "a",
                "steps": 1,
                "size": "64x64",
                "images": [{"image_url": data_url(data)}],
            }
            return client.post(EDITS, json=body)


def test_mutated_pictures_and_bombs(server: Served) -> None:
    chance = random.Random(7)
    whole, large = seeds(), bombs()
    sent = [mutated(chance, whole) for _ in range(MUTATED)]
    sent += [large[number % len(large)] for number in range(BOMBS)] + [large[1]] * LARGE
    chance.shuffle(sent)
    refused = 0
    with httpx2.Client(base_url=server.url, timeout=PATIENCE) as client:
        for data in whole:
            # It reads them all while they are whole, and what it keeps for good it has now.
            assert send(client, chance, data).status_code == 200
        before = resident(server)
        for data in sent:
            answer = send(client, chance, data)
            assert answer.status_code in (200, 400), answer.text[:500]
            if answer.status_code == 400:
                refused += 1
                error = json.loads(answer.content)["error"]
                assert set(error) == {"message", "type", "param", "code"}
                assert error["type"] == "invalid_request_error"
                assert error["param"] in ("image[0]", "image", "mask", "file")
        assert MUTATED // 3 < refused < len(sent)
        for data in whole:
            assert send(client, chance, data).status_code == 200
    assert server.process.poll() is None
    assert resident(server) - before < KEPT
    assert len(children(server)) <= 1
    assert server.stop() == 0


def test_what_is_sent_is_what_it_says() -> None:
    """The test above would show little if its bombs were small."""
    width, height = struct.unpack(">II", bombs()[0][16:24])
    assert width * height > 100_000_000
    assert max(map(len, bombs())) < 20_000_000
