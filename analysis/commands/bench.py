"""The ratios of time and memory that the project promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.commands.options import Json
from analysis.errors import UserError

ROOT = Path(__file__).parents[2]


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks; default: all.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what the project promises about speed and memory."""
    if not (ROOT / "benchmarks").is_dir():
        raise UserError(
            "The folder benchmarks/ is not here; run this in a clone of the repository."
        )
    command = [sys.executable, "-m", "benchmarks", *(names or []), *(["--json"] * as_json)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
