"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Option(help="Bundled name, diffusers folder or hub id.")]
Seed = Annotated[int, typer.Option(help="Seed of the noise, 0 or more.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Steps = Annotated[int, typer.Option(help="Sampling steps.")]
Scheduler = Annotated[str | None, typer.Option(help="ddim, ddpm, dpm++, ...; default: own.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; default: under runs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Prompt = Annotated[str | None, typer.Option(help="For models that take one.")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")]
Force = Annotated[bool, typer.Option("--force", help="Start even where memory seems too small.")]
