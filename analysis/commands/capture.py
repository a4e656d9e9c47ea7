"""Sample once, keep statistics."""

from __future__ import annotations

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
from analysis.console import number, progress_bar, say
from analysis.runs import CAPTURE_FILE, new_run, write_manifest


def capture(
    model: Model = "fashion",
    samples: Annotated[int, typer.Option(help="Samples to draw.")] = 16,
    layers: Annotated[str | None, typer.Option(help="Glob over layer names.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Histograms of all values.")] = False,
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
    """Sample once and keep the statistics of every activation."""
    import analysis
    from analysis.capture.run import capture as run_capture

    run = new_run("capture", out)
    handle = analysis.load_model(model, device)
    arguments: dict[str, Any] = {
        "steps": steps,
        "samples": samples,
        "seed": seed,
        "scheduler": scheduler,
        "prompt": prompt,
        "guidance_scale": guidance,
        "layers": layers,
        "exact": exact,
    }
    estimate = foretold(handle, "capture", as_json, dry_run, force, **arguments)
    with progress_bar("capture") as progress:
        done = run_capture(handle, **arguments, progress=progress)
    analysis.save_capture(done, run / CAPTURE_FILE)
    write_manifest(run, "capture", {"model": model, **arguments})
    steps_drawn = range(len(done.timesteps))
    bound = max(stats.share_bound(step) for stats in done.stats for step in steps_drawn)
    values: dict[str, Any] = {
        "run": str(run),
        "layers": [layer.name for layer in done.layers],
        "timesteps": done.timesteps,
        "samples": samples,
        "seconds": done.seconds,
        "peak_mb": done.peak_mb,
        "share_bound": bound,
        "never_ran": done.meta["never_ran"],
        "estimate": estimate,
    }
    absent = [f"never ran: {', '.join(done.meta['never_ran'])}"] * bool(done.meta["never_ran"])
    head = f"{len(done.layers)} tensors x {len(done.timesteps)} timesteps in {run}"
    cost = f"{number(done.seconds, 's')}, process peak {number(done.peak_mb, 'MB', 0)}"
    drawn = f"histograms: {_exactness(bound)}"
    say(values, as_json, [head, drawn, cost, *absent])


def _exactness(bound: float) -> str:
    """How far the histograms speak for all values."""
    from analysis.records import MISS

    if not bound:
        return "all values counted"
    return (
        f"a seeded draw, shares within {100 * bound:.2g} percentage points in {1 - MISS:.0%} of "
        "draws (--exact counts all)"
    )
