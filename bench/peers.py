"""The peers' environments: .venv-bench/NAME, each from requirements/bench-NAME.txt, set up when first needed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".venv-bench"


def python(name: str, told: Callable[[str], None]) -> Path:
    """The interpreter of the peer's environment.

    Raises:
        subprocess.CalledProcessError: pip could not install it; its words are above.
    """
    folder, lock = HOME / name, ROOT / "requirements" / f"bench-{name}.txt"
    path, stamp = folder / "bin" / "python", folder / ".made"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return path
    told(f"setting up .venv-bench/{name}, once")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = [str(path), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "--require-hashes", "--no-deps", "-r", str(lock)], check=True)
    if name == "xinference":
        # As in .venv-parity: torch has many builds, and pip takes the one that this machine's index offers.
        subprocess.run([*install, "-r", str(ROOT / "requirements" / "torch.txt")], check=True)
    stamp.touch()
    return path


def version(interpreter: str | Path, package: str) -> str:
    """The version of `package` in the environment of `interpreter`."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([str(interpreter), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
