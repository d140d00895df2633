"""Draws docs/images/streaming.png: the pictures of one stream of `limner serve`, in the order in which they came.

python -m tools.streaming
"""

import base64
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import PIL.Image
import PIL.ImageDraw

ROOT = Path(__file__).parents[1]
SIDE, GAP, LINE = 192, 8, 22
WISH = {"prompt": "a cat on a blue background", "seed": 7, "stream": True, "partial_images": 3, "quality": "medium"}


def served(process: "subprocess.Popen[str]") -> str:
    """The base URL that the server tells when it is ready."""
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"ready at (http://\S+)", line):
            return found[1]
    raise SystemExit("the server did not start")


def events(url: str) -> list[tuple[str, PIL.Image.Image]]:
    """What each event was, and its picture."""
    found: list[tuple[str, PIL.Image.Image]] = []
    wish = WISH | {"size": f"{SIDE}x{SIDE}"}
    with httpx2.stream("POST", f"{url}/v1/images/generations", json=wish, timeout=120) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                name = event["type"].removeprefix("image_generation.")
                name += f" {event['partial_image_index']}" if "partial_image_index" in event else ""
                found.append((name, PIL.Image.open(io.BytesIO(base64.b64decode(event["b64_json"]))).convert("RGB")))
    return found


def sheet(found: list[tuple[str, PIL.Image.Image]]) -> PIL.Image.Image:
    """Side by side, each with its name."""
    page = PIL.Image.new("RGB", (len(found) * (SIDE + GAP) + GAP, SIDE + GAP + LINE), "white")
    for column, (name, picture) in enumerate(found):
        left = GAP + column * (SIDE + GAP)
        page.paste(picture, (left, GAP))
        PIL.ImageDraw.Draw(page).text((left, SIDE + GAP + 4), name, fill="black")
    return page


def main() -> None:
    """Write the file."""
    path = ROOT / "docs" / "images" / "streaming.png"
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "limner", "serve", "--port", "0", "--pictures", folder]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            sheet(events(served(process))).save(path, optimize=True)
        finally:
            process.terminate()
            process.wait()
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
