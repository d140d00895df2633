"""What may not be in the repository, and what must be in the locks."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("build", "runtime", "dev", "clients", "parity")
# Versions below these have holes that are known: the build fails rather than ship them.
FLOORS = {
    "diffusers": "0.38.1",  # CVE-2026-44513, CVE-2026-45804: remote code despite trust_remote_code=False
    "h11": "0.16.0",  # CVE-2025-43859: chunked smuggling
    "onnxruntime": "1.32.0",  # reads of external data files, sparse tensors too
    "pillow": "12.3.0",  # PYSEC-2026-2253 to -2257, -3451 to -3453, CVE-2026-40192, CVE-2026-42308
    "python-multipart": "0.0.27",  # CVE-2026-42561
    "starlette": "1.3.1",  # CVE-2026-48710 BadHost, CVE-2025-62727, GHSA-82w8-qh3p-5jfq, GHSA-jp82-jpqv-5vv3
    "torch": "2.10.0",  # CVE-2025-32434, CVE-2026-24747
    "transformers": "5.3.0",  # CVE-2026-4372
}
# Written in pieces, so that this file does not name them itself.
UNWANTED = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:work|home/\w+|Users/\w+|root)/\w"),
    "the host of a package registry": re.compile(
        "|".join(["py" + r"pi\.org", "pythonhosted" + r"\.org", r"registry\.np" + "mjs", r"download\.py" + "torch"])
    ),
    "something that looks like a key": re.compile(r"\b(?:sk|hf|ghp|pypi)[-_](?!\.)[A-Za-z0-9]{24,}"),
}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in listed.stdout.split("\0") if line and (ROOT / line).is_file()]


def pins(lock: str) -> dict[str, list[str]]:
    """Name -> versions that a lock pins."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9.-]*)==([^ ;\\]+)", line):
            found.setdefault(match[1], []).append(match[2])
    return found


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize("what", UNWANTED)
def test_no_tracked_file_holds(what: str) -> None:
    held = []
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if match := UNWANTED[what].search(text):
            held.append(f"{path.relative_to(ROOT)}: {match[0]}")
    assert not held, f"{what} in {held}"


def test_the_patterns_find_what_they_look_for() -> None:
    samples = ("cd /home/" + "ann/x", "https://py" + "pi.org/simple", "key = sk-" + "a1" * 16)
    for pattern, sample in zip(UNWANTED.values(), samples, strict=True):
        assert pattern.search(sample), sample


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    assert "--find-links" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    unhashed = [block.split()[0] for block in blocks if "==" in block and "--hash=sha256:" not in block]
    assert not unhashed, f"{unhashed} in {lock}.txt; run make lock"


@pytest.mark.parametrize("lock", [*LOCKS, "torch"])
def test_no_pin_is_below_its_floor(lock: str) -> None:
    for name, versions in pins(lock).items():
        for version in versions:
            assert Version(version) >= Version(FLOORS.get(name, "0")), f"{name} {version} in {lock}.txt"


@pytest.mark.parametrize(
    ("lock", "groups"),
    [
        ("build", ("build",)),
        ("runtime", ()),
        ("dev", ("build", "dev")),
        ("clients", ("clients",)),
        ("parity", ("parity",)),
    ],
)
def test_the_locks_answer_to_pyproject(lock: str, groups: tuple[str, ...]) -> None:
    """Stale locks fail here, without a network: every wish of pyproject is pinned at a version that it allows."""
    wishes = [] if lock in ("build", "clients") else project()["project"]["dependencies"]
    for group in groups:
        wishes = wishes + [wish for wish in project()["dependency-groups"][group] if isinstance(wish, str)]
    pinned = pins(lock) | (pins("torch") if lock == "parity" else {})
    for wish in map(Requirement, wishes):
        versions = pinned.get(wish.name.lower().replace("_", "-"), [])
        assert versions, f"{wish} is not in {lock}.txt; run make lock"
        assert all(wish.specifier.contains(version) for version in versions), f"{wish} against {versions}"


def test_the_locks_agree_with_one_another() -> None:
    served = pins("runtime")
    for lock in ("dev", "parity"):
        differing = {name: v for name, v in pins(lock).items() if name in served and served[name] != v}
        assert not differing, f"{lock}.txt tests other versions than are served: {differing}"


def test_no_torch_where_it_is_not_asked_for() -> None:
    assert not {"torch", "diffusers", "transformers"} & set(pins("dev"))


def test_version_and_changelog_agree() -> None:
    import limner

    assert project()["project"]["version"] == limner.__version__
    assert f"## [{limner.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_error_is_in_the_tree_that_the_module_draws() -> None:
    from limner import errors

    drawn = errors.__doc__ or ""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.LimnerError):
            assert re.search(rf"\b{name}\b", drawn), f"{name} is missing in the tree of errors.py"
            assert kind.__doc__, f"{name} has no docstring"
