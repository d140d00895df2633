"""The limit of answering: a server that sends the same bytes to whoever asks, and does nothing else.

python -m bench.bare_server PORT FILE: FILE is the answer's body, JSON.
"""

import asyncio
import sys
from pathlib import Path

import uvloop


class Bare(asyncio.Protocol):
    """Answers as soon as a request's body has arrived."""

    answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._got = transport, b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if len(body) >= int(lengths[0] if lengths else 0):
            self._got = b""
            self._transport.write(self.answer)


async def main(port: int) -> None:
    """Listen until killed."""
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    body = Path(sys.argv[2]).read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    Bare.answer = head.encode() + body
    uvloop.run(main(int(sys.argv[1])))
