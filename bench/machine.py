"""What it is measured on, and whether anything else runs there."""

import os
import platform
import time
from pathlib import Path

# Share of the machine that others may use, before and while measuring.
BUSY = 0.05


def describe() -> dict[str, str | int | float]:
    """Processor, cores, memory, system."""
    model, flags = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        facts = dict(
            (part.strip() for part in line.split(":", 1)) for line in cpuinfo.read_text().splitlines() if ":" in line
        )
        model, flags = facts.get("model name", model), facts.get("flags", "")
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "amx_int8", "amx_bf16") if flag in flags.split()]
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "flags": " ".join(known),
        "memory_gib": round(gibibytes, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def line(machine: dict[str, str | int | float]) -> str:
    """The machine in one line, for below the table."""
    flags = f" ({machine['flags']})" if machine["flags"] else ""
    return (
        f"{machine['processor']}{flags}, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
        f"Python {machine['python']}"
    )


class Others:
    """How much of the machine other processes use from the moment that this is made."""

    def __init__(self) -> None:
        self._begun = (_busy(), _own(), time.monotonic())

    def share(self) -> float:
        """0..1 over all cores; 0 where the system does not tell.

        Children count as ours once they have ended.
        """
        busy, own, begun = self._begun
        cores = os.cpu_count() or 1
        elapsed = max(1e-3, time.monotonic() - begun)
        # The system counts in hundredths of a second, so a moment may seem more than full.
        return min(1.0, max(0.0, (_busy() - busy) - (_own() - own)) / (elapsed * cores))


def _busy() -> float:
    """Processor seconds used on this machine since it started; waiting for a disk is not use."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _, _, irq, softirq, *_ = map(int, stat.read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def busy_before(seconds: float = 3.0) -> float:
    """The share of the machine that others use now, watched for so long."""
    others = Others()
    time.sleep(seconds)
    return others.share()
