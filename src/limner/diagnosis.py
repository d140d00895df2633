"""What `limner doctor` looks at: each check says what it found, and how to mend it where it is wrong."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner.errors import LimnerError

if TYPE_CHECKING:
    from limner.settings import Settings

PACKAGES = ("limner", "onnxruntime", "numpy", "pillow", "tokenizers", "fastapi", "uvicorn", "pydantic", "httpx2")
# Seconds that a first small picture may take on a slow machine.
PATIENCE = 120


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    # What was found.
    detail: str
    # What to do about it; "" when it is right.
    fix: str = ""

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine() -> list[Check]:
    """All checks, in the order in which one thing needs the other."""
    return list(_checks())


def _checks() -> Iterator[Check]:
    yield _python()
    yield _packages()
    yield Check(name="processor", ok=True, detail=f"{_cores()} cores, {platform.machine()}, {platform.system()}")
    yield _model()
    try:
        from limner.settings import Settings, config_path

        settings = Settings.load()
    except LimnerError as error:
        yield Check(
            name="settings", ok=False, detail=error.message, fix="Mend the variable or the line of config.toml."
        )
    except ImportError as error:
        yield Check(name="settings", ok=False, detail=str(error), fix="Install Limner again.")
    else:
        where = config_path()
        yield Check(
            name="settings", ok=True, detail=str(where) if where.exists() else f"defaults; {where} is not there"
        )
        yield _pictures(settings.pictures)
        yield _pulled(settings)
        yield _port(settings)
    yield _base_url()


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    fix = "" if ok else "Install Limner with Python 3.11 or newer."
    return Check(name="python", ok=ok, detail=f"{platform.python_version()} at {sys.executable}", fix=fix)


def _packages() -> Check:
    found: list[str] = []
    missing: list[str] = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check(name="packages", ok=False, detail=f"missing: {', '.join(missing)}", fix="Install Limner again.")
    return Check(name="packages", ok=True, detail=", ".join(found))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _model() -> Check:
    """Draw a small picture in a process of its own: a library that this processor cannot run takes only that down."""
    fix = "Install Limner again; if that does not help, report the line above."
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "picture.png"
        command = [
            sys.executable,
            "-m",
            "limner",
            "generate",
            "a cat",
            "--local",
            "--quiet",
            "--steps",
            "1",
            "-o",
            str(out),
        ]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            return Check(name="model", ok=False, detail=f"no picture after {PATIENCE} s", fix=fix)
        if run.returncode or not out.is_file():
            said = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
            return Check(name="model", ok=False, detail=f"no picture: {said.removeprefix('limner: ')}", fix=fix)
        from limner.codecs import read_recipe

        try:
            made = read_recipe(out.read_bytes())
        except LimnerError:
            # Settings may keep recipes out of pictures.
            return Check(name="model", ok=True, detail="it draws")
    return Check(name="model", ok=True, detail=f"{made['model']} draws; its weights are {made['weights']}")


def _pictures(folder: Path) -> Check:
    there = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    ok = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    detail = f"{folder}{'' if there == folder else ', not there yet'}"
    if ok:
        return Check(name="pictures", ok=True, detail=detail)
    fix = f"Make {there} a folder that you may write to, or name another one in LIMNER_PICTURES."
    return Check(name="pictures", ok=False, detail=f"{detail}; it cannot be written to", fix=fix)


def _pulled(settings: "Settings") -> Check:
    from limner.models.gallery import Gallery

    gallery = Gallery.configured(settings)
    try:
        names = list(gallery.shelf.all())
    except LimnerError as error:
        return Check(name="pulled", ok=False, detail=error.message, fix="Move the file away, and pull again.")
    if not names:
        return Check(name="pulled", ok=True, detail="no models; `limner list --catalogue` shows what can be pulled")
    absent = gallery.absent()
    told = [f"{name} ({absent[name].removeprefix(name).strip()})" if name in absent else name for name in names]
    return Check(name="pulled", ok=True, detail="; ".join(told))


def _port(settings: "Settings") -> Check:
    import socket

    from limner.client import Client
    from limner.hosts import local_url

    url = local_url(settings.host, settings.port)
    if settings.port:
        with Client(url) as client:
            if client.answers():
                return Check(name="port", ok=True, detail=f"a Limner server answers at {url}")
    try:
        socket.create_server(
            (settings.host, settings.port), family=socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        ).close()
    except OSError as error:
        fix = f"Stop what listens there, or set LIMNER_PORT={settings.other_port()}."
        return Check(name="port", ok=False, detail=f"{settings.port} on {settings.host}: {error.strerror}", fix=fix)
    return Check(name="port", ok=True, detail=f"{settings.port} on {settings.host} is free")


def _base_url() -> Check:
    from limner.client import Client

    name = next((name for name in ("LIMNER_BASE_URL", "OPENAI_BASE_URL") if os.environ.get(name)), None)
    try:
        with Client() as client:
            answers = client.answers()
            where = client.shown_url
    except LimnerError as error:
        return Check(name="base url", ok=False, detail=f"{name}: {error.message}", fix=f"Mend {name}, or unset it.")
    detail = f"{where}, {f'from {name}' if name else 'the default'}; "
    detail += "a Limner server answers" if answers else "no Limner server answers, so commands draw by themselves"
    # Another service may well be meant by OPENAI_BASE_URL.
    if name == "LIMNER_BASE_URL" and not answers:
        return Check(name="base url", ok=False, detail=detail, fix=f"Start the server, or unset {name}.")
    return Check(name="base url", ok=True, detail=detail)
