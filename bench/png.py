"""C1: a picture of 1024x1024 to a PNG file, by us, by Pillow three ways, by OpenCV and by imagecodecs.

In the peers' environment, .venv-bench/png: one process, one thread, every encoder once a round in a new order. Pillow,
libpng (in imagecodecs) and OpenCV read every file of ours back, and the pixels are compared before anything is timed.
"""

import io
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.kinds import SIDE, embedded, kinds
from bench.plan import Plan, Result
from bench.report import Aim, Row, Values, aim, find, row, times
from bench.subjects import ROOT

Encoder = Callable[[], bytes]
OURS, DEFAULT = "limner", "Pillow, default"
PROMPTS = {"embedded model, a red apple": "a red apple", "embedded model, a house at night": "a house at night"}
LIMIT = "isal's deflate alone, filtered already"


def measure(plan: Plan) -> Result:
    """Every kind of picture by every encoder."""
    interpreter = plan.peer("png")
    with tempfile.TemporaryDirectory() as name:
        for number, prompt in enumerate(PROMPTS.values() if not plan.smoke else ()):
            embedded(prompt, Path(name) / f"{number}.npy")
        rounds = plan.count(max(plan.rounds, 9), 1)
        command = [str(interpreter or sys.executable), "-m", "bench.png", name, str(rounds)]
        # Only what is in the peers' environment, and our encoder.
        environment = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PATH": os.environ.get("PATH", "")}
        plan.told(f"{rounds} rounds of every encoder")
        shown = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(shown.stdout)
    rows = [Row(**each) for each in told["rows"]]
    return Result(rows=rows, aims=_aims(rows), versions=told["versions"])


def _aims(rows: list[Row]) -> list[Aim]:
    def largest() -> float:
        return max(each.values["size"] for each in rows if each.subject == OURS)

    return [
        *aim("photograph: times Pillow's default", 30, times(rows, "photograph", OURS, DEFAULT, "cpu")),
        *aim("photograph: times Pillow's level 1", 10, times(rows, "photograph", OURS, "Pillow, level 1", "cpu")),
        *aim("photograph: CPU ms", 8, lambda: find(rows, "photograph", OURS)["cpu"], most=True),
        *aim("every kind: bytes, of Pillow's default", 1.25, largest, most=True),
    ]


def encoders(pixels: Any) -> dict[str, Encoder]:
    """Each from the same bytes in memory to the bytes of a file."""
    import PIL.Image

    from limner import png

    height, width, channels = pixels.shape
    raw, mode = pixels.tobytes(), {3: "RGB", 4: "RGBA"}[channels]

    def pillow(**options: Any) -> Encoder:
        def run() -> bytes:
            buffer = io.BytesIO()
            PIL.Image.frombuffer(mode, (width, height), raw, "raw", mode, 0, 1).save(buffer, "PNG", **options)
            return buffer.getvalue()

        return run

    found: dict[str, Encoder] = {
        OURS: lambda: png.encode(raw, width, height, channels=channels),
        DEFAULT: pillow(),
        "Pillow, level 1": pillow(compress_level=1),
        "Pillow, optimize=True": pillow(optimize=True),
    }
    return found | _others(pixels)


def _others(pixels: Any) -> dict[str, Encoder]:
    """OpenCV and imagecodecs, where they are installed."""
    try:
        import cv2
        import imagecodecs
    except ImportError:
        return {}
    cv2.setNumThreads(1)
    swap = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[pixels.shape[2]]
    return {
        # It takes blue first, as its users' pictures are.
        "opencv, default": lambda: cv2.imencode(".png", cv2.cvtColor(pixels, swap))[1].tobytes(),
        "imagecodecs, default": lambda: imagecodecs.png_encode(pixels),
        "imagecodecs, level 1": lambda: imagecodecs.png_encode(pixels, level=1),
    }


def readers() -> dict[str, Callable[[bytes], Any]]:
    """Each from the bytes of a file to pixels."""
    import numpy as np
    import PIL.Image

    found: dict[str, Callable[[bytes], Any]] = {"Pillow": lambda data: np.asarray(PIL.Image.open(io.BytesIO(data)))}
    try:
        import cv2
        import imagecodecs
    except ImportError:
        return found

    def opencv(data: bytes) -> Any:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return cv2.cvtColor(pixels, {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}[pixels.shape[2]])

    return found | {"libpng": imagecodecs.png_decode, "OpenCV": opencv}


def limits(pixels: Any) -> dict[str, Encoder]:
    """What no encoder on this deflate gets below, and what none at all does."""
    import numpy as np

    from limner.deflating import library
    from limner.filtering import UP, picture

    filtered = picture(np.ascontiguousarray(pixels).reshape(len(pixels), -1), pixels.shape[2], UP)
    grain = library().grain
    return {LIMIT: lambda: bytes(grain(filtered)), "a copy in memory": pixels.tobytes}


def inside(kinds: dict[str, Any], rounds: int) -> list[Row]:
    """The rounds themselves, in the peers' environment."""
    import numpy as np

    order, found = random.Random(1), []
    for kind, pixels in kinds.items():
        subjects = encoders(pixels)
        sizes = {}
        for name, run in subjects.items():
            data = run()
            sizes[name] = len(data)
            for reader, read in readers().items() if name == OURS else ():
                assert np.array_equal(read(data), pixels), f"{reader} sees other pixels in our {kind}"
        ends = limits(pixels)
        taken: dict[str, list[Values]] = {name: [] for name in (*subjects, *ends)}
        for _ in range(rounds):
            for name in order.sample(list(taken), len(taken)):
                run = (subjects | ends)[name]
                wall, cpu = time.perf_counter(), time.process_time()
                run()
                cost = {"cpu": 1e3 * (time.process_time() - cpu), "wall": 1e3 * (time.perf_counter() - wall)}
                taken[name].append(cost | ({"size": sizes[name] / sizes[DEFAULT]} if name in sizes else {}))
        for name, costs in taken.items():
            role = "ours" if name == OURS else "limit" if name in ends else "peer"
            found.append(row(kind, name, role, costs))
    return found


def main(arguments: Sequence[str]) -> None:
    """`python -m bench.png FOLDER ROUNDS`: FOLDER holds the embedded model's pictures."""
    from dataclasses import asdict
    from importlib.metadata import PackageNotFoundError, version

    import numpy as np

    folder, rounds = Path(arguments[0]), int(arguments[1])
    pictures = (
        {name: np.load(folder / f"{number}.npy") for number, name in enumerate(PROMPTS)}
        if any(folder.iterdir())
        else {}
    )
    pictures |= kinds()
    if rounds == 1:
        pictures = {name: np.ascontiguousarray(pixels[: SIDE // 8, : SIDE // 8]) for name, pixels in pictures.items()}
    versions = {}
    for name in ("numpy", "pillow", "isal", "zlib-ng", "opencv-python-headless", "imagecodecs"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    print(json.dumps({"rows": [asdict(each) for each in inside(pictures, rounds)], "versions": versions}))


if __name__ == "__main__":
    main(sys.argv[1:])
