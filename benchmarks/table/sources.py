"""Digests of the code that a row depends on, and the commit it is from."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Packages behind the float model's rows, behind calibration sets, and behind every method.
PACKAGES = {"float": ("models", "metrics"), "sets": ("models", "calibration", "capture")}
SHARED = ("models", "metrics", "quant", "calibration", "capture")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def loaded_digest(method: str) -> str:
    """The digest of a method's code when it was first asked for: that of what was loaded."""
    return source_digest(method)


def source_digest(method: str, root: Path = ROOT) -> str:
    """SHA-256 over the code behind a method's rows; comments, docstrings and layout do not count.

    Code is what the methods share, and of `analysis/methods` the method's own module with what
    it imports from there, so that work on one method leaves the rows of the others valid.
    """
    library = root / "analysis"
    if method in PACKAGES:
        return _digest(library, _files(library, PACKAGES[method]))
    return _digest(library, [*_files(library, SHARED), *_method_files(library, method)])


@cache
def commit(root: Path = ROOT) -> str:
    """The short hash of HEAD, with a + where `analysis/` differs from it."""
    head = _git(root, "rev-parse", "--short", "HEAD")
    return head + "+" * bool(_git(root, "status", "--porcelain", "--", "analysis"))


def _files(library: Path, packages: Iterable[str]) -> list[Path]:
    found = (path for name in packages for path in (library / name).rglob("*"))
    return [path for path in found if path.suffix in (".py", ".c", ".h")]


def _method_files(library: Path, method: str) -> list[Path]:
    """The module that files a method, and all modules of `analysis.methods` that it leads to."""
    from analysis.methods import METHODS

    home = METHODS.get(method).config.__module__
    found: list[Path] = []
    waiting = [library.parent / Path(*home.split(".")).with_suffix(".py")]
    while waiting:
        path = waiting.pop()
        if path.is_file() and path not in found:
            found.append(path)
            waiting += _imported(library, path)
    return found


def _imported(library: Path, path: Path) -> list[Path]:
    """Files of `analysis/methods` that a module imports from, as modules or their names."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = (name.split(".")[2:] for name in names if name.startswith("analysis.methods."))
    return [(library / "methods" / Path(*parts)).with_suffix(".py") for parts in ours]


def _digest(library: Path, files: Iterable[Path]) -> str:
    sha = hashlib.sha256()
    for path in sorted(set(files)):
        sha.update(path.relative_to(library).as_posix().encode())
        sha.update(_meaning(path))
    return sha.hexdigest()


def _meaning(path: Path) -> bytes:
    """A file's syntax tree without docstrings; of anything but Python, its bytes."""
    if path.suffix != ".py":
        return path.read_bytes()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree).encode()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
