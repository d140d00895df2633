"""C1: a picture of 1024x1024 to a PNG file, by us, by Pillow three ways, by OpenCV and by imagecodecs.

    python -m bench.png [--rounds 9] [--force]

Sets up `build/bench-png`, an environment of its own with the peers, on its first run, and measures there: one process,
one thread, every encoder once a round in a new order. The decoded pixels are compared before anything is timed. The
limits, in the same process: deflate alone (isal within 256 bytes, on rows that are filtered already) and a copy of the
pixels. Exit codes as those of bench.run.
"""

import argparse
import datetime
import io
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import machine

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "bench-png"
# Exact, so that a figure can be measured again.
PEERS = ("numpy==2.4.6", "pillow==13.0.0", "isal==1.9.1", "zlib-ng==1.1.0", "opencv-python-headless", "imagecodecs")
SIDE, MIN_ROUNDS, REFUSED = 1024, 9, 3
Encoder = Callable[[], bytes]


def pictures() -> dict[str, Any]:
    """What is encoded: (SIDE, SIDE, 3) bytes of four kinds."""
    import numpy as np
    import PIL.Image
    import PIL.ImageDraw

    dice = np.random.default_rng(1)
    photograph = dice.normal(0, 2, (SIDE, SIDE, 3))
    for octave in range(2, 10):
        # Brightness varies more than colour, and large things more than small ones: as in photographs.
        side = 2**octave
        coarse = 0.8 * dice.standard_normal((side, side, 1)) + 0.4 * dice.standard_normal((side, side, 3))
        for channel in range(3):
            plane = PIL.Image.fromarray((108 * coarse[..., channel] / side**0.9).astype(np.float32))
            photograph[..., channel] += np.asarray(plane.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC))
    canvas = PIL.Image.new("RGB", (2 * SIDE, 2 * SIDE), (250, 248, 240))
    pen = PIL.ImageDraw.Draw(canvas)
    for number in range(40):
        colour = tuple(int(value) for value in dice.integers(0, 256, 3))
        x, y, r = (int(value) for value in (*dice.integers(0, 2 * SIDE, 2), dice.integers(20, 300)))
        if number % 3:
            pen.ellipse((x - r, y - r // (number % 3), x + r, y + r), fill=colour)
        else:
            pen.polygon([(x - r, y), (x, y - r), (x + r, y + r // 2)], fill=colour)
    # Our own model draws at 256x256 and resamples, which leaves edges that are soft over several pixels.
    drawing = canvas.resize((SIDE, SIDE), PIL.Image.Resampling.BOX)
    soft = drawing.resize((256, 256), PIL.Image.Resampling.BOX).resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS)
    return {
        "photograph": np.clip(photograph + 120, 0, 255).astype(np.uint8),
        "drawing": np.asarray(drawing),
        "drawing from 256x256": np.asarray(soft),
        "noise": dice.integers(0, 256, (SIDE, SIDE, 3), np.uint8),
    }


def encoders(pixels: Any) -> dict[str, Encoder]:
    """Each from the same bytes in memory to the bytes of a file."""
    import cv2
    import imagecodecs
    import PIL.Image

    from limner import png

    raw = pixels.tobytes()
    cv2.setNumThreads(1)

    def pillow(**options: Any) -> Encoder:
        def run() -> bytes:
            buffer = io.BytesIO()
            PIL.Image.frombuffer("RGB", (SIDE, SIDE), raw, "raw", "RGB", 0, 1).save(buffer, "PNG", **options)
            return buffer.getvalue()

        return run

    def opencv() -> bytes:
        # It takes blue first, as its users' pictures are.
        return cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()

    return {
        "limner": lambda: png.encode(raw, SIDE, SIDE),
        "Pillow, default": pillow(),
        "Pillow, level 1": pillow(compress_level=1),
        "Pillow, optimize=True": pillow(optimize=True),
        "opencv, default": opencv,
        "imagecodecs, default": lambda: imagecodecs.png_encode(pixels),
        "imagecodecs, level 1": lambda: imagecodecs.png_encode(pixels, level=1),
    }


def limits(pixels: Any) -> dict[str, Encoder]:
    """What no encoder on this deflate gets below, and what none at all does."""
    import numpy as np

    from limner import png

    rows = pixels.reshape(SIDE, SIDE * 3)
    less = np.zeros((SIDE, SIDE * 3 + 1), np.uint8)
    np.subtract(rows[:, 3:], rows[:, :-3], out=less[:, 4:])
    deflate = png.library().texture
    return {"limit: isal's deflate alone": lambda: deflate(less), "limit: a copy in memory": pixels.tobytes}


def measure(rounds: int) -> list[dict[str, Any]]:
    """Rows of picture, encoder, wall and CPU milliseconds (medians), and bytes."""
    import numpy as np
    import PIL.Image

    order, found = random.Random(1), []
    for kind, pixels in pictures().items():
        subjects = encoders(pixels)
        sizes = {}
        for name, run in subjects.items():
            data = run()
            same = np.array_equal(np.asarray(PIL.Image.open(io.BytesIO(data)).convert("RGB")), pixels)
            assert same, f"{name} changed the pixels of the {kind}"
            sizes[name] = len(data)
        subjects |= limits(pixels)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in subjects}
        for _ in range(rounds):
            for name in order.sample(list(subjects), len(subjects)):
                wall, cpu = time.perf_counter(), time.process_time()
                subjects[name]()
                taken[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
        for name, costs in taken.items():
            wall, cpu = (statistics.median(values) for values in zip(*costs, strict=True))
            found.append({"picture": kind, "encoder": name, "wall": wall, "cpu": cpu, "bytes": sizes.get(name, 0)})
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, each encoder beside ours and beside Pillow's default."""
    lines = ["| picture | encoder | CPU ms | wall ms | CPU, times ours | bytes, of Pillow's default |"]
    lines.append("|---|---|--:|--:|--:|--:|")
    for row in rows:
        beside = {other["encoder"]: other for other in rows if other["picture"] == row["picture"]}
        share = f"{row['bytes'] / beside['Pillow, default']['bytes']:.2f}" if row["bytes"] else ""
        times = row["cpu"] / beside["limner"]["cpu"]
        name = f"**{row['encoder']}**" if row["encoder"] == "limner" else row["encoder"]
        lines.append(f"| {row['picture']} | {name} | {row['cpu']:.2f} | {row['wall']:.2f} | {times:.2f} x | {share} |")
    return "\n".join(lines)


def python() -> Path:
    """The interpreter of the peers' environment, made on the first call."""
    path = HOME / "bin" / "python"
    if not (HOME / ".made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        subprocess.run([str(path), "-m", "pip", "install", "-qq", *PEERS], check=True)
        (HOME / ".made").touch()
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in the peers' environment, print the table, write bench/results/png/DATE.json; the exit code."""
    parser = argparse.ArgumentParser(prog="bench.png", description="What a PNG costs, beside its peers.")
    parser.add_argument("--rounds", type=int, default=MIN_ROUNDS)
    parser.add_argument("--force", action="store_true", help="measure on a busy machine; the result says so")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.inside:
        from importlib.metadata import version

        names = [peer.partition("==")[0] for peer in PEERS]
        print(json.dumps({"rows": measure(args.rounds), "versions": {name: version(name) for name in names}}))
        return 0
    where, busy = python(), machine.busy_before()
    if busy > machine.BUSY and not args.force:
        print(f"Refused: other programs use {busy:.0%} of this machine. See bench/README.md.", file=sys.stderr)
        return REFUSED
    others = machine.Others()
    command = [str(where), "-m", "bench.png", "--inside", "--rounds", str(args.rounds)]
    env = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    during = others.share()
    fit = max(busy, during) <= machine.BUSY and args.rounds >= MIN_ROUNDS
    told = {"publishable": fit, "others": round(during, 4), "rounds": args.rounds, "machine": machine.describe()}
    result = told | json.loads(shown.stdout)
    # Not beside the whole bench's results: the newest of those is what the README quotes.
    results = ROOT / "bench" / "results"
    out = results / "png" / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}.json" if fit else results / "png.json.tmp"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    print(table(result["rows"]))
    print(f"\n{machine.line(result['machine'])}. {versions}. {args.rounds} rounds; others used {during:.1%}.")
    if not fit:
        print("\n**Not for publication:** the machine was busy, or the rounds too few.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
