"""Files for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.commands.options import Device, Json, Out
from analysis.console import say
from analysis.runs import find_run, new_run, write_manifest


def export(
    quantized: Annotated[str, typer.Option(help="A quantized run.")],
    format: Annotated[str, typer.Option(help="safetensors.")] = "safetensors",
    device: Device = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Files for others: a diffusers pipeline with the rounded weights."""
    import analysis
    from analysis.export import EXPORTS

    write = EXPORTS.get(format)
    loaded = analysis.load_quantized(find_run(quantized))
    folder = new_run("export", out, f"export-{format}")
    files = write(loaded, folder)
    write_manifest(folder, "export", {"quantized": quantized, "format": format})
    size = sum(path.stat().st_size for path in files)
    names = [str(path) for path in files]
    say({"files": names, "bytes": size}, as_json, [*names, f"{size / 1e6:.2f} MB"])
