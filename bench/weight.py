"""C15: what an import takes, and what an installation weighs: ours, litellm, g4f, diffusers, xinference."""

import json
import os
import subprocess
import sys
import time

from bench.plan import Measure, Plan, Result
from bench.report import Aim, Row, Values, aim, find, row
from bench.subjects import ROOT, quiet

IMPORT, INSTALLED = "import", "installation"
OURS, LIMIT = "limner", "python alone"
# What is installed for each: distributions and their extras.
ROOTS = {
    OURS: ["limner"],
    "litellm[proxy]": ["litellm[proxy]"],
    "g4f[api]": ["g4f[api]"],
    "diffusers": ["diffusers", "transformers", "torch", "accelerate"],
    "xinference": ["xinference"],
}
# Runs in each environment, with what pip brings along: distributions that are needed, and their bytes.
COUNT = """
import json, os, sys
from importlib.metadata import PackageNotFoundError, distribution
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name
found, queue = {}, [Requirement(text) for text in json.loads(sys.argv[1])]
while queue:
    wanted = queue.pop()
    name = canonicalize_name(wanted.name)
    new = set(wanted.extras or {""}) - found.get(name, set())
    if not new and name in found:
        continue
    try:
        here = distribution(name)
    except PackageNotFoundError:
        continue
    found.setdefault(name, set()).update(new)
    for text in here.requires or []:
        need = Requirement(text)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in new | {""}):
            queue.append(need)
size = 0
for name in found:
    for path in distribution(name).files or []:
        try:
            size += os.path.getsize(path.locate())
        except OSError:
            pass
# An editable installation is nothing but a path.
source = sys.argv[2]
if "limner" in found:
    size += sum(os.path.getsize(os.path.join(a, f)) for a, _, c in os.walk(source) for f in c if not f.endswith(".pyc"))
print(json.dumps({"distributions": len(found), "megabytes": size / 1e6}))
"""


def measure(plan: Plan) -> Result:
    """Imports in rounds; weights once, since they do not change."""
    pythons = {OURS: sys.executable}
    if not plan.smoke:
        pythons |= {
            "litellm[proxy]": str(plan.peer("litellm")),
            "g4f[api]": str(plan.peer("g4f")),
            "xinference": str(plan.peer("xinference")),
        }
        if plan.diffusers:
            pythons["diffusers"] = plan.diffusers
    subjects: dict[str, Measure] = {name: _importing(python, name) for name, python in pythons.items()}
    subjects[LIMIT] = _importing(sys.executable, "")
    costs = plan.interleaved(subjects)
    roles = {OURS: "ours", LIMIT: "limit"}
    found = [row(IMPORT, name, roles.get(name, "peer"), each) for name, each in costs.items()]
    found += [
        row(INSTALLED, name, roles.get(name, "peer"), [_weighed(python, name)]) for name, python in pythons.items()
    ]
    return Result(rows=found, aims=_aims(found), versions={})


def _aims(rows: list[Row]) -> list[Aim]:
    return [
        *aim("import limner: ms", 60, lambda: find(rows, IMPORT, OURS)["wall"], most=True),
        *aim("distributions", 6, lambda: find(rows, INSTALLED, OURS)["distributions"], most=True),
    ]


def _importing(python: str, name: str) -> Measure:
    module = name.partition("[")[0]
    command = [python, "-c", f"import {module}" if module else "pass"]

    def run(number: int) -> Values:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT / "bench", env=quiet(), stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall = (time.perf_counter() - begun) * 1e3
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
        cpu = (used.ru_utime + used.ru_stime) * 1e3
        # No peak of memory: Linux counts that of the program which started this one into it.
        return {"wall": wall, "cpu": cpu}

    return run


def _weighed(python: str, name: str) -> Values:
    command = [python, "-c", COUNT, json.dumps(ROOTS[name]), str(ROOT / "src" / "limner")]
    return json.loads(subprocess.run(command, env=quiet(), capture_output=True, text=True, check=True).stdout)
