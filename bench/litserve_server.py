"""LitServe, with the same fixed picture encoded in the same way: `python -m bench.litserve_server PORT PIXELS`."""

import math
import sys
import time
from pathlib import Path
from typing import Any

import litserve
import PIL.Image

from bench.fastapi_server import encoded


class Fixed(litserve.LitAPI):
    """The same picture for every prompt."""

    def setup(self, device: str) -> None:
        self.pixels = Path(sys.argv[2]).read_bytes()

    def decode_request(self, request: dict[str, Any], **_: Any) -> str:
        return request["prompt"]

    def predict(self, x: str, **_: Any) -> PIL.Image.Image:
        side = math.isqrt(len(self.pixels) // 3)
        return PIL.Image.frombytes("RGB", (side, side), self.pixels)

    def encode_response(self, output: PIL.Image.Image, **_: Any) -> dict[str, Any]:
        return {"created": int(time.time()), "data": [{"b64_json": encoded(output)}]}


if __name__ == "__main__":
    server = litserve.LitServer(Fixed(api_path="/v1/images/generations"), accelerator="cpu", timeout=600)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
