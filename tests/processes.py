"""Programs as a user starts them: real processes with an environment of their own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The command as it is installed beside this Python.
LIMNER = str(Path(sys.executable).with_name("limner"))
FAKE = (sys.executable, "-m", "tests.serve_fake")
# Seconds for anything that a process does here, on a machine that is busy with other things.
PATIENCE = 120


def environment(home: Path, **extra: str) -> dict[str, str]:
    """This process's environment without its settings, keys, proxies and terminal; folders under `home`."""
    dropped = re.compile(
        r"LIMNER_|OPENAI_|XDG_|NO_COLOR|FORCE_COLOR|COLORTERM|TERM|LC_TERMINAL|KITTY|TMUX|STY$|\w*_proxy$",
        re.IGNORECASE,
    )
    kept = {name: value for name, value in os.environ.items() if not dropped.match(name)}
    folders = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_DATA_HOME": str(home / "data")}
    # A port where nothing listens, so that no test meets a server that happens to run on the default one.
    return kept | folders | {"LIMNER_BASE_URL": "http://127.0.0.1:9/v1"} | extra


@dataclass(frozen=True)
class Served:
    """A server process that has said it is ready."""

    url: str
    process: subprocess.Popen[bytes]
    said: Path

    def stop(self, with_signal: int = signal.SIGTERM) -> int:
        """Its exit code."""
        self.process.send_signal(with_signal)
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def serving(command: Sequence[str], home: Path, **extra: str) -> Iterator[Served]:
    """Start a server and wait until it tells its URL on stderr."""
    said = home / "stderr.txt"
    with said.open("wb") as out:
        process = subprocess.Popen(
            [*command], cwd=ROOT, env=environment(home, **extra), stdout=subprocess.DEVNULL, stderr=out
        )
    try:
        yield Served(_ready(process, said), process, said)
    finally:
        process.kill()
        process.wait()


def _ready(process: subprocess.Popen[bytes], said: Path) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r"ready at (http://\S+)", said.read_text()):
            return found[1]
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready: {said.read_text()}")


def limner(*arguments: str, cwd: Path, **extra: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line to its end."""
    env: Mapping[str, str] = environment(cwd, **extra)
    return subprocess.run([LIMNER, *arguments], cwd=cwd, env=env, capture_output=True, timeout=PATIENCE, check=False)
