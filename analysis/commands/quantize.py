"""Make a quantized model."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from analysis.commands.options import Device, Json, Model, Out, Seed
from analysis.commands.text import literal, pairs
from analysis.console import number, progress_bar, say, table
from analysis.runs import find_calibration, new_run, write_manifest


def quantize(
    model: Model = "fashion",
    method: Annotated[str, typer.Option(help="rtn, ...")] = "rtn",
    plan: Annotated[str, typer.Option(help="W4A8: bits of weights and activations.")] = "W8A8",
    preset: Annotated[str, typer.Option(help="instant, fast or paper.")] = "instant",
    calibration: Annotated[str | None, typer.Option(help="A calibration set or a capture.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="A method's option, NAME=VALUE.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Bits of some layers, GLOB=W8A8.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Make a quantized model."""
    import time

    import analysis

    run = new_run("quantize", out, f"{method}-{plan}")
    options: dict[str, Any] = {k: literal(v) for k, v in pairs(option, "--set")}
    if override:
        options["overrides"] = dict(pairs(override, "--override"))
    calibrated_on = None
    if calibration is not None:
        calibrated_on = _load(calibration)
    handle = analysis.load_model(model, device)
    started = time.perf_counter()
    with progress_bar("quantize") as progress:
        done = analysis.quantize(
            handle, method, plan, calibrated_on, preset, progress, seed=seed, **options
        )
    seconds = time.perf_counter() - started
    analysis.save_quantized(done, run)
    arguments = {"model": model, "calibration": calibration, "seed": seed, **options}
    write_manifest(run, "quantize", {"method": method, "plan": plan, **arguments})
    values: dict[str, Any] = {
        "run": str(run),
        "method": method,
        "plan": done.plan.text,
        "seconds": seconds,
        "layers": [asdict(row) for row in done.layers],
        "size_mb": done.size_bytes / 1e6,
        "float_size_mb": done.float_size_bytes / 1e6,
        "skipped": done.skipped,
    }
    rows = [["layer", "weight bits", "activation bits", "predicted SQNR"]]
    rows += [
        [r.name, str(r.weight_bits or "-"), str(r.act_bits), number(r.sqnr_db, "dB", 1)]
        for r in done.layers
    ]
    sizes = f"{number(values['size_mb'], 'MB')} (float: {number(values['float_size_mb'], 'MB')})"
    left = [f"less than planned: {name} ({why})" for name, why in done.skipped.items()]
    say(
        values,
        as_json,
        [f"{run}: {done.plan.text} in {number(seconds, 's')}, {sizes}", *table(rows), *left],
    )


def _load(run: str) -> Any:
    """The calibration set or the capture of a run."""
    import analysis
    from analysis.calibration.store import KIND
    from analysis.files import format_of

    path = find_calibration(run)
    is_set = format_of(path) == KIND.format
    return analysis.load_calibration(path) if is_set else analysis.load_capture(path)
