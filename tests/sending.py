"""Bodies with pictures, as clients put them on the wire."""

import base64
import io
import json
import socket
from typing import Any

import httpx2
import PIL.Image
import PIL.ImageDraw

from tests.conftest import Served, until

GENERATIONS = "/v1/images/generations"
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


async def refused(client: httpx2.AsyncClient, fields: list[tuple[str, bytes | str]], path: str = EDITS) -> dict:
    """The error that a form gets."""
    answer = await client.post(path, **form(fields))
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def hang_up(served: Served, wish: dict[str, Any], *, reset: bool = False) -> None:
    """Ask, and leave at the engine's second step: it stops within one more, and its place is free again."""
    body = json.dumps(wish).encode()
    lines = (
        f"POST {GENERATIONS} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(body)}",
    )
    with socket.create_connection(("127.0.0.1", served.port)) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode() + body)
        until(lambda: served.engine.stepped >= 2)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    seen = served.engine.stepped
    until(lambda: served.process.life.in_flight == 0)
    assert served.engine.stepped <= seen + 1
    assert httpx2.post(served.url + GENERATIONS, json={"prompt": "a", "steps": 1}).status_code == 200
    assert served.engine.stepped <= seen + 2
