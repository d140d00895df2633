"""What this machine can run: which packages are there, and how much memory models may take. Nothing is imported."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec

from limner.models.catalog import GIGABYTE, catalogue
from limner.models.shelf import Pulled

# Share of the main memory that models on a processor may take.
SHARE = 0.75
# What weights grow to with what one picture needs, where nobody has measured it.
GROWTH = 1.2
PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "safetensors")
PATIENCE = 10.0


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where models run and what they may take together."""

    # "cuda", "mps" or "cpu".
    device: str
    # Bytes.
    memory: int
    # Packages that are not installed.
    missing: tuple[str, ...]

    def needs(self, pulled: Pulled) -> int:
        """Bytes that the model takes here: everything, or what off-loading needs where that alone fits."""
        row = catalogue().of_repository(pulled.repository) if pulled.repository else None
        if row is None:
            return round(pulled.weights * GROWTH)
        whole, least = row.memory, row.memory_offloaded
        return least if self.device == "cuda" and whole > self.memory >= least else whole

    def why_not(self, pulled: Pulled) -> str:
        """Why the model cannot run here, as a sentence; "" when it can."""
        if self.missing:
            return f"{pulled.name} needs {', '.join(self.missing)}, not installed here: pip install 'limner[diffusers]'"
        need = self.needs(pulled)
        if need > self.memory:
            return (
                f"{pulled.name} needs {need / GIGABYTE:.0f} GB of memory, and models may take "
                f"{self.memory / GIGABYTE:.0f} GB here (LIMNER_MODEL_MEMORY)"
            )
        return ""


def look(device: str = "auto", memory: float | None = None) -> Machine:
    """Look at the machine. `memory`: GB that the user allows, in place of what is found."""
    missing = tuple(name for name in PACKAGES if find_spec(name) is None)
    on_card = _card_memory() if device in ("auto", "cuda") else 0
    found = ("cuda" if on_card else _without_card()) if device == "auto" else device
    room = on_card if found == "cuda" else round(_main_memory() * SHARE)
    return Machine(device=found, memory=round(memory * GIGABYTE) if memory else room, missing=missing)


def _card_memory() -> int:
    """Bytes of the largest NVIDIA card; 0 where there is none, or its tool is not there."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    command = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
        return max(int(line) for line in told.split("\n") if line.strip()) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def _without_card() -> str:
    import platform

    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def _main_memory() -> int:
    """Bytes of the machine; a small machine's where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 8 * GIGABYTE
