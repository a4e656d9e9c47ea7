"""A run is a folder with what a command made and `manifest.json`: how, from what, by what."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from analysis.atomic import write_whole
from analysis.errors import UserError

MANIFEST = "manifest.json"
CAPTURE_FILE = "capture.safetensors"
CALIBRATION_FILE = "calibration.safetensors"
RUNS = Path("runs")
_PACKAGES = ("torch", "diffusers", "numpy", "safetensors")


def new_run(kind: str, out: str | Path | None, name: str | None = None) -> Path:
    """The folder of a new run: the given one, or a fresh one under `runs/`.

    A run that was stopped may go on in its folder.

    Args:
        kind: what its manifest will say: the command.
        name: how a fresh folder's name begins; the kind if not given.

    Raises:
        UserError: when the given folder holds something that is no run of this kind, and when
            nothing can be written there.
    """
    if out is None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        return _writable(_unused(RUNS / f"{name or kind}-{stamp}"))
    folder = _writable(Path(out))
    if folder.is_dir() and any(folder.iterdir()):
        there = kind if kind == "quantize" and _was_stopped(folder) else _kind(folder)
        if there is None:
            raise UserError(f"{folder} holds something else; give --out a new folder.")
        if there != kind:
            raise UserError(f"{folder} is a run of {there}; give --out a new folder.")
    return folder


def _writable(folder: Path) -> Path:
    """The folder itself if it can be made or written to, which is better known before the work."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        raise UserError(f"{there} is a file; give --out a folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there} cannot be written to; give --out a folder that can.")
    return folder


def write_manifest(run: Path, kind: str, arguments: Mapping[str, Any]) -> None:
    """Write the manifest, with a digest of every other file of the run."""
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.name != MANIFEST)
    manifest = {
        "kind": kind,
        "arguments": dict(arguments),
        "versions": versions(),
        "digests": {
            p.relative_to(run).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        },
    }
    write_whole(run / MANIFEST, json.dumps(manifest, indent=1, default=str).encode())


def find_run(run: str | Path, runs: Path = RUNS) -> Path:
    """A run by its folder, or by its name under `runs/`."""
    for path in (Path(run), runs / str(run)):
        if path.exists():
            return path
    raise UserError(f"There is no run {run}; give a folder that a command wrote.")


def find_capture(run: str | Path) -> Path:
    """The capture file of a run, or the file itself."""
    path = find_run(run)
    found = _inside(path, (CAPTURE_FILE,))
    if found is None:
        raise UserError(f"{path} holds no capture; make one with `capture --out {path}`.")
    return found


def find_calibration(run: str | Path) -> Path:
    """The calibration set of a run, or else its capture, or the file itself."""
    path = find_run(run)
    found = _inside(path, (CALIBRATION_FILE, CAPTURE_FILE))
    if found is None:
        raise UserError(
            f"{path} holds neither a calibration set nor a capture; make one with "
            "`calibrate --out DIR` or `capture --out DIR`."
        )
    return found


def _inside(path: Path, names: tuple[str, ...]) -> Path | None:
    """The first of the named files in a folder; what is no folder is the file itself."""
    if not path.is_dir():
        return path
    return next((path / name for name in names if (path / name).is_file()), None)


def _kind(folder: Path) -> str | None:
    """The kind of a run, or `None` where there is none."""
    try:
        return str(json.loads((folder / MANIFEST).read_bytes())["kind"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _was_stopped(folder: Path) -> bool:
    """Whether a folder holds what quantize had finished when it was stopped, and nothing else."""
    from analysis.quant.finished import only_finished

    return only_finished(folder)


def _unused(folder: Path) -> Path:
    candidate, number = folder, 1
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what comes out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
