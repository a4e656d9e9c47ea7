"""One safetensors file with a JSON header: whole or absent, and checked when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from analysis.atomic import write_whole
from analysis.errors import UserError
from analysis.records import Array


@dataclass(frozen=True)
class FileKind:
    """A kind of file: the marks in its header, and the words of its error messages."""

    format: str
    version: int
    noun: str  # "capture"
    command: str  # what writes one
    again: str  # what to do when it is spoilt: "capture again"

    def damaged(self, path: Path, what: object) -> UserError:
        """The error for a file that cannot be trusted."""
        return UserError(f"The {self.noun} {path.name} is damaged ({what}); {self.again}.")


def write_tensors(
    path: str | Path, kind: FileKind, header: Mapping[str, Any], tensors: Mapping[str, Array]
) -> Path:
    """Write tensors, a header and a digest of both, under a temporary name until it is whole.

    Raises:
        UserError: when the file cannot be written, for want of room say.
    """
    path = Path(path)
    marked = {"format": kind.format, "format_version": kind.version, **header}
    text = json.dumps(marked, sort_keys=True, allow_nan=False)
    content = {"header": text, "digest": digest(text, tensors)}
    write_whole(path, safetensors.numpy.save(dict(tensors), content))
    return path


def read_tensors(path: str | Path, kind: FileKind) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the tensors of a file that `write_tensors` wrote.

    Raises:
        UserError: when the file is missing, cut short, changed, or of another kind.
    """
    path = Path(path)
    try:
        with safe_open(path, framework="numpy") as file:
            content = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(
            f"There is no {kind.noun} at {path}; make one with `{kind.command}`."
        ) from None
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{path.name} is no {kind.noun}, or is cut short ({error}); {kind.again}."
        ) from None
    return _header(path, kind, content, tensors), tensors


def format_of(path: str | Path) -> str | None:
    """What kind of file this says it is; `None` for anything unreadable or foreign."""
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("header", "null"))
    except (OSError, SafetensorError, ValueError):
        return None
    return header.get("format") if isinstance(header, dict) else None


def digest(text: str, tensors: Mapping[str, Array]) -> str:
    """SHA-256 over a text and named arrays with their types and shapes."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _header(
    path: Path, kind: FileKind, content: Mapping[str, str], tensors: Mapping[str, Array]
) -> dict[str, Any]:
    try:
        header = json.loads(content.get("header", "null"))
    except ValueError as error:
        raise kind.damaged(path, error) from None
    if not isinstance(header, dict) or header.get("format") != kind.format:
        raise UserError(f"{path.name} is no {kind.noun}; give a file that `{kind.command}` wrote.")
    if header.get("format_version") != kind.version:
        raise UserError(
            f"{path.name} has format version {header.get('format_version')}, but only "
            f"{kind.version} is known; {kind.again}."
        )
    if content.get("digest") != digest(content["header"], tensors):
        raise kind.damaged(path, "its contents were changed")
    return header
