"""Draw a calibration set."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from analysis.commands.foretold import foretold
from analysis.commands.options import (
    Device,
    DryRun,
    Force,
    Guidance,
    Json,
    Model,
    Out,
    Prompt,
    Scheduler,
    Seed,
    Steps,
)
from analysis.commands.text import literal, pairs
from analysis.console import number, progress_bar, say, table
from analysis.runs import CALIBRATION_FILE, new_run, write_manifest


def calibrate(
    model: Model = "fashion",
    sampler: Annotated[
        str, typer.Option(help="random, gaussian, forward, ndtc, timestep-uniform or tdac.")
    ] = "tdac",
    size: Annotated[int, typer.Option(help="Samples in the set.")] = 256,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="A sampler's option, NAME=VALUE.")
    ] = None,
    steps: Steps = 50,
    seed: Seed = 0,
    scheduler: Scheduler = None,
    prompt: Prompt = None,
    guidance: Guidance = None,
    device: Device = "auto",
    out: Out = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Draw a calibration set: noisy samples at the timesteps that a sampler chooses."""
    import analysis

    run = new_run("calibrate", out, f"calibrate-{sampler}")
    options = {name: literal(value) for name, value in pairs(option, "--set")}
    handle = analysis.load_model(model, device)
    arguments: dict[str, Any] = {
        "sampler": sampler,
        "size": size,
        "seed": seed,
        "steps": steps,
        "scheduler": scheduler,
        "prompt": prompt,
        "guidance_scale": guidance,
    }
    estimate = foretold(handle, "calibrate", as_json, dry_run, force, **arguments, **options)
    started = time.perf_counter()
    with progress_bar("calibrate") as progress:
        done = analysis.calibrate(handle, **arguments, progress=progress, **options)
    seconds = time.perf_counter() - started
    analysis.save_calibration(done, run / CALIBRATION_FILE)
    write_manifest(run, "calibrate", {"model": model, **arguments, **options})
    _say(str(run), done, seconds, estimate, as_json)


def _say(run: str, done: Any, seconds: float, estimate: Any, as_json: bool) -> None:
    report = done.report
    values: dict[str, Any] = {
        "run": run,
        "sampler": done.sampler,
        "size": done.size,
        "timesteps": done.timesteps,
        "counts": done.counts,
        "density": report.density,
        "diversity": report.diversity,
        "coverage": report.coverage,
        "coverage_per_step": report.coverage_per_step,
        "radius": report.radius,
        "options": done.options,
        "seconds": seconds,
        "estimate": estimate,
    }
    rows = [["timestep", "samples", "density", "diversity", "coverage"]]
    columns = (report.density, report.diversity, report.coverage_per_step)
    rows += [
        [f"{t:g}", str(count), str(dense), number(diverse, digits=0), number(covered)]
        for t, count, dense, diverse, covered in zip(
            done.timesteps, done.counts, *columns, strict=True
        )
    ]
    head = (
        f"{run}: {done.size} samples by {done.sampler}, coverage {number(report.coverage)}, "
        f"in {number(seconds, 's')}"
    )
    say(values, as_json, [head, *table(rows)])
