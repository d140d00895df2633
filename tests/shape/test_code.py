"""The rules of taste that a linter does not know: small modules, telling names, no effect at import."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import limner

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
ALL_CODE = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "training").glob("*.py"))]
MAX_MODULE = 300
MAX_FUNCTION = 60
# Names that say nothing of what is inside.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base", "core"}
# Where any failure at all must become an answer: the edge of the server, and the loop of an engine's own process.
CATCH_ALL = {"src/limner/server/problems.py", "src/limner/engines/worker_child.py"}
HEAVY = ("onnxruntime", "torch", "diffusers", "numpy", "PIL", "fastapi", "starlette", "uvicorn", "pydantic", "httpx2",
         "rich", "typer", "ray")  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def modules() -> list[str]:
    """Every importable module of the package."""
    found = pkgutil.walk_packages(limner.__path__, "limner.")
    return sorted(["limner", *(module.name for module in found if not module.name.endswith("__main__"))])


@pytest.mark.parametrize("path", ALL_CODE, ids=name)
def test_a_module_is_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_MODULE, f"{name(path)} has {lines} lines; cut it where a reader's question changes"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_function_is_short(path: Path) -> None:
    for function in functions(ast.parse(path.read_text())):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines < MAX_FUNCTION, f"{name(path)}: {function.name} has {lines} lines"


@pytest.mark.parametrize("path", ALL_CODE, ids=name)
def test_a_module_is_named_for_what_it_holds(path: Path) -> None:
    assert path.stem not in EMPTY_NAMES


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_is_swallowed(path: Path) -> None:
    if name(path) in CATCH_ALL:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = [c for c in caught if c is None or ast.unparse(c) in ("Exception", "BaseException")]
            assert not broad, f"{name(path)}:{node.lineno} catches everything"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_there_are_no_globals(path: Path) -> None:
    found = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)]
    assert not found, f"{name(path)}: `global` on lines {found}"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_public_thing_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    public = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]
    silent = [node.name for node in public if not ast.get_docstring(node)]
    assert not silent, f"{name(path)}: no docstring on {silent}"
    assert ast.get_docstring(tree) or not tree.body, f"{name(path)}: no docstring"


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_all_is_sorted_and_true(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = ast.literal_eval(node.value)
            assert exported == sorted(exported)
            dotted = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
            module = importlib.import_module(dotted)
            assert [each for each in exported if not hasattr(module, each)] == []


def test_importing_limner_imports_nothing_heavy() -> None:
    code = f"import sys, limner, limner.errors, limner.types; print([m for m in {HEAVY!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_importing_any_module_has_no_effect(tmp_path: Path) -> None:
    """No thread, no file, no word printed, no setting read: in an empty folder, without an environment."""
    code = (
        "import importlib, os, threading\n"
        "before = dict(os.environ)\n"
        f"for name in {modules()!r}: importlib.import_module(name)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert dict(os.environ) == before, 'the environment was changed'\n"
    )
    shown = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "LIMNER_PORT": "not a port"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
