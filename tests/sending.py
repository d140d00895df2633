"""Bodies with pictures, as clients put them on the wire."""

import base64
import io
from typing import Any

import PIL.Image
import PIL.ImageDraw

EDITS, VARIATIONS = "/v1/images/edits", "/v1/images/variations"
WIDTH, HEIGHT = 96, 80


def file(picture: PIL.Image.Image, kind: str = "PNG", **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()


def coloured(colour: str = "red", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    return file(PIL.Image.new("RGB", size, colour))


def form(fields: list[tuple[str, bytes | str]], boundary: str = "B") -> dict[str, Any]:
    """A multipart body as it is on the wire; bytes are files, strings are text."""
    body = b""
    for index, (name, value) in enumerate(fields):
        head = f'Content-Disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            head += f'; filename="{index}.png"\r\nContent-Type: image/png'
        data = value if isinstance(value, bytes) else value.encode()
        body += f"--{boundary}\r\n{head}\r\n\r\n".encode() + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return {"content": body, "headers": {"content-type": f"multipart/form-data; boundary={boundary}"}}


def data_url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()


def half(mode: str = "RGBA", size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """A mask of the left half, in each way that a client may write it."""
    left = (0, 0, size[0] // 2 - 1, size[1] - 1)
    if mode == "RGBA":
        mask = PIL.Image.new("RGBA", size, (9, 9, 9, 255))
        PIL.ImageDraw.Draw(mask).rectangle(left, fill=(0, 0, 0, 0))
    else:
        mask = PIL.Image.new("L", size, 0)
        PIL.ImageDraw.Draw(mask).rectangle(left, fill=255)
        mask = mask.convert("RGB").convert("RGBA") if mode == "opaque RGBA" else mask.convert(mode)
    return file(mask)


LEFT = (b"\xff" * (WIDTH // 2) + b"\x00" * (WIDTH // 2)) * HEIGHT
