"""Files for other programs."""

from __future__ import annotations

from typing import Annotated

import typer

from analysis.commands.options import Device, Json, Out, Seed, Steps
from analysis.console import progress_bar, say
from analysis.runs import find_run, new_run, write_manifest


def export(
    quantized: Annotated[str, typer.Option(help="A quantized run.")],
    format: Annotated[str, typer.Option(help="safetensors, onnx or report.")] = "safetensors",
    samples: Annotated[int, typer.Option(help="Samples that the report shows.")] = 16,
    steps: Steps = 50,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Files for others: recipe and weights, or a report that opens in any browser."""
    import analysis
    from analysis.export import EXPORTS, ExportOptions
    from analysis.quant.store import float_model_name

    write = EXPORTS.get(format)
    run = find_run(quantized)
    model = analysis.load_model(float_model_name(run), device)
    loaded = analysis.load_quantized(run, model)
    folder = new_run("export", out, f"export-{format}")
    with progress_bar("export") as progress:
        files = write(loaded, folder, ExportOptions(model, samples, steps, seed, progress))
    arguments = {"quantized": quantized, "format": format}
    drawn = {"samples": samples, "steps": steps, "seed": seed}
    write_manifest(folder, "export", {**arguments, **drawn})
    size = sum(path.stat().st_size for path in files)
    names = [str(path) for path in files]
    say({"files": names, "bytes": size}, as_json, [*names, f"{size / 1e6:.2f} MB"])
