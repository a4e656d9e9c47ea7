"""Float against quantized."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from analysis.commands.options import Device, Guidance, Json, Out, Prompt, Scheduler, Seed, Steps
from analysis.console import number, progress_bar, say
from analysis.runs import find_run, new_run, write_manifest


def compare(
    quantized: Annotated[str, typer.Option(help="A quantized run.")],
    model: Annotated[str | None, typer.Option(help="Default: the run's own model.")] = None,
    samples: Annotated[int, typer.Option(help="Samples from the same noise.")] = 64,
    steps: Steps = 50,
    seed: Seed = 0,
    scheduler: Scheduler = None,
    prompt: Prompt = None,
    guidance: Guidance = None,
    device: Device = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Sample float and quantized from the same noise."""
    import analysis
    from analysis.pictures import save_pictures
    from analysis.quant.store import float_model_name

    run = find_run(quantized)
    folder = None if out is None else new_run("compare", out)
    handle = analysis.load_model(model or float_model_name(run), device)
    loaded = analysis.load_quantized(run, handle)
    with progress_bar("compare") as progress:
        done = analysis.compare(
            handle, loaded, samples, steps, seed, scheduler, prompt, guidance, progress=progress
        )
    values = {"quantized": str(run), **done.values}
    if folder is not None:
        save_pictures(done, folder)
        write_manifest(folder, "compare", {**asdict(done.spec), "quantized": str(run)})
        values["run"] = str(folder)
    n = f"N = {samples}, {steps} steps"
    lines = [
        f"PSNR {number(values['psnr_db'], 'dB')}, SSIM {number(values['ssim'], digits=3)}, "
        f"SQNR {number(values['sqnr_db'], 'dB')} ({n})",
        f"Frechet distance to the data ({n}): float {number(values['frechet_float'])}, "
        f"quantized {number(values['frechet_quantized'])}",
        f"float {number(values['seconds_float'], 's')}, simulated quantization "
        f"{number(values['seconds_quantized'], 's')}",
    ]
    say(values, as_json, lines)
