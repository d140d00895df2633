"""A Python module of ours as a process of its own: how it is started, and what of this process it gets to see."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

# The variables that such a process sees: none of them holds a key.
VARIABLES = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "HOME", "TMPDIR")


# For a stream that the process is not to use.
NOWHERE = subprocess.DEVNULL


def environment(further: Sequence[str] = ()) -> dict[str, str]:
    """This process's variables that are in VARIABLES or `further`; a name that ends with * stands for all like it."""
    names = (*VARIABLES, *further)
    begins = tuple(name.removesuffix("*") for name in names if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in names or (begins and name.startswith(begins))}


def start(
    module: str,
    *arguments: str,
    environment: Mapping[str, str],
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Start `python -m module`. It leads a process group of its own, so that Ctrl-C in a terminal is for us alone."""
    # -P: what lies in the current folder is not ours to import.
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        env=dict(environment),
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
    )
