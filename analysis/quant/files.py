"""Folders that appear whole or not at all, and that notice when they were changed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch

from analysis.errors import UserError
from analysis.quant.finished import only_finished

RECIPE = "recipe.json"
FORMAT = "quantized-denoiser"
FORMAT_VERSION = 2


def write_folder(folder: Path, recipe: Mapping[str, Any], files: Mapping[str, bytes]) -> Path:
    """Write files and `recipe.json` under a temporary name, then rename.

    Raises:
        UserError: when the folder holds anything but an earlier recipe or finished units, which
            go, or writing fails.
    """
    if folder.exists() and not (folder / RECIPE).is_file() and not _is_free(folder):
        raise UserError(f"{folder} holds something else; choose a new folder.")
    signed = _signed({"format": FORMAT, "format_version": FORMAT_VERSION, **recipe})
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True)
        for name, content in files.items():
            _write(temporary / name, content)
        _write(temporary / RECIPE, json.dumps(signed, indent=1, allow_nan=False).encode())
        _swap(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise UserError(
            f"{folder} could not be written ({error.strerror or error}); make room or choose "
            "another place."
        ) from error
    return folder


def read_recipe(folder: Path, weights: str) -> tuple[dict[str, Any], bytes]:
    """The recipe of a folder and the bytes of its weights, both checked.

    Raises:
        UserError: when either is missing, foreign, cut short or changed.
    """
    try:
        recipe = json.loads((folder / RECIPE).read_bytes())
        content = (folder / weights).read_bytes()
    except OSError as error:
        missing = Path(error.filename or folder).name
        raise UserError(
            f"{folder} is no quantized model: {missing} cannot be read; give the folder that "
            "quantize wrote."
        ) from error
    except ValueError as error:
        raise damaged(folder, error) from None
    if not isinstance(recipe, dict) or recipe.get("format") != FORMAT:
        raise UserError(f"{folder} is no quantized model; give the folder that quantize wrote.")
    if recipe.get("format_version") != FORMAT_VERSION:
        raise UserError(
            f"{folder} has format version {recipe.get('format_version')}, but only "
            f"{FORMAT_VERSION} is known; quantize again."
        )
    if recipe != _signed(recipe):
        raise damaged(folder, f"{RECIPE} was changed")
    if hashlib.sha256(content).hexdigest() != recipe.get("weights_sha256"):
        raise damaged(folder, f"{weights} was changed or cut short")
    return recipe, content


def damaged(folder: Path, what: object) -> UserError:
    """The error for a folder that cannot be trusted."""
    return UserError(f"The quantized model in {folder} is damaged ({what}); quantize again.")


def _signed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with versions of what wrote it and a digest over all the rest."""
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }
    content = {"versions": versions, **{k: v for k, v in recipe.items() if k != "digest"}}
    text = json.dumps(content, sort_keys=True)
    return {**content, "digest": hashlib.sha256(text.encode()).hexdigest()}


def _is_free(folder: Path) -> bool:
    return folder.is_dir() and (not any(folder.iterdir()) or only_finished(folder))


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _swap(new: Path, folder: Path) -> None:
    """Put the new folder in the place of the old one, which stays until that has happened."""
    if not folder.exists():
        new.rename(folder)
        return
    old = new.with_suffix(".old")
    folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
