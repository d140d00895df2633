"""The whole recipe with one dial: minutes.

    python run.py --minutes 240                          # every stage, from the inner autoencoder to the export
    python run.py --minutes 6 --pool 512 --no-compile    # proves every stage end to end, draws nothing worth seeing

Each stage resumes from its checkpoint in --out, so a second call goes on where the first one stopped.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from data import STYLES

# Shares of the time. The flow is where quality is won.
SHARES = {"inner": 0.17, "flow": 0.57, "outer": 0.12, "upscaler": 0.08, "judge": 0.06}
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=240)
    parser.add_argument("--pool", type=int, default=40_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--styles", nargs="+", default=list(STYLES))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE / "runs/first")
    parser.add_argument("--checkpoint", type=Path, default=HERE / "checkpoint")
    parser.add_argument("--graphs", type=Path, default=HERE.parent / "src/limner/mini")
    args = parser.parse_args()

    def stage(script: str, *options: object) -> None:
        subprocess.run([sys.executable, HERE / script, *map(str, options), "--out", args.out], check=True)

    minutes = {name: share * args.minutes for name, share in SHARES.items()}
    styles = ("--styles", *args.styles)
    flow = ("--pool", args.pool, "--batch", args.batch, *(["--no-compile"] if args.no_compile else []))
    stage("autoencoder.py", "inner", "--minutes", minutes["inner"])
    stage("flow.py", "--minutes", minutes["flow"], *styles, *flow)
    stage("autoencoder.py", "outer", "--minutes", minutes["outer"], *styles, "--batch", 8)
    stage("upscaler.py", "--minutes", minutes["upscaler"], *styles, "--pool", min(args.pool, 768))
    stage("evaluate.py", "train", "--minutes", minutes["judge"])
    export = [sys.executable, HERE / "export.py", "--run", args.out]
    subprocess.run([*export, "--checkpoint", args.checkpoint, "--graphs", args.graphs], check=True)


if __name__ == "__main__":
    main()
