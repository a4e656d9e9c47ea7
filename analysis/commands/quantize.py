"""Make a quantized model."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.commands.calibrated_on import load_calibrated_on
from analysis.commands.foretold import foretold
from analysis.commands.options import Device, DryRun, Force, Json, Model, Out, Seed
from analysis.commands.text import literal, pairs
from analysis.console import number, progress_bar, say, table
from analysis.errors import Cancelled
from analysis.runs import new_run, write_manifest

METHOD_HELP = (
    "rtn rounds to nearest; ptq4dm searches ranges on steps of the model's own runs; q-diffusion "
    "and eda-dm learn roundings and scales block by block."
)
PRESET_HELP = (
    "How much is spent: instant learns nothing, fast takes minutes on a small model, paper the "
    "authors' iterations."
)
WITHOUT_HELP = (
    "A part of the method to leave out; may be repeated. ptq4dm: calibration, range-search. "
    "q-diffusion: calibration, split, adaround, act-scales. eda-dm: tdac, calibration, fbr, "
    "qdrop, adaround, act-scales."
)


def quantize(
    model: Model = "fashion",
    method: Annotated[str, typer.Option(help=METHOD_HELP)] = "rtn",
    plan: Annotated[str, typer.Option(help="W4A8: bits of weights and activations.")] = "W8A8",
    preset: Annotated[str, typer.Option(help=PRESET_HELP)] = "instant",
    calibration: Annotated[
        str | None,
        typer.Option(help="A run with a calibration set; rtn takes a capture, too. Default: own."),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(metavar="NAME", help=WITHOUT_HELP)] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="A method's option, NAME=VALUE.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Bits of some layers, GLOB=W8A8.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="int8: options for a plan that integer kernels can take.")
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a quantized model. Ctrl-C keeps finished blocks; with the same --out it goes on."""
    import time

    import analysis

    run = new_run("quantize", out, f"{method}-{plan}")
    options: dict[str, Any] = {k: literal(v) for k, v in pairs(option, "--set")}
    if profile is not None:
        from analysis.int8 import profile_options

        options = profile_options(profile) | options
    if override:
        options["overrides"] = dict(pairs(override, "--override"))
    calibrated_on = None if calibration is None else load_calibrated_on(calibration)
    handle = analysis.load_model(model, device)
    named: dict[str, Any] = {
        "method": method,
        "plan": plan,
        "preset": preset,
        "without": without or [],
    }
    estimate = foretold(
        handle,
        "quantize",
        as_json,
        dry_run,
        force,
        calibration=calibrated_on,
        seed=seed,
        **named,
        **options,
    )
    started = time.perf_counter()
    with _kept(run) as keep, progress_bar("quantize") as progress:
        done = analysis.quantize(
            handle,
            calibration=calibrated_on,
            progress=progress,
            seed=seed,
            keep=keep,
            **named,
            **options,
        )
    seconds = time.perf_counter() - started
    analysis.save_quantized(done, run)
    arguments = {"model": model, "calibration": calibration, "seed": seed, **options}
    write_manifest(run, "quantize", named | arguments)
    values = _values(done, run, seconds) | {"without": named["without"], "estimate": estimate}
    say(values, as_json, _lines(done, values))


@contextmanager
def _kept(run: Path) -> Iterator[Path]:
    """The folder of finished units; a person who stops is told what it holds."""
    from analysis.quant.finished import FOLDER, Finished

    folder = run / FOLDER
    try:
        yield folder
    except (KeyboardInterrupt, Cancelled):
        count = Finished(folder, "").count()
        if count:
            are = "finished block is" if count == 1 else "finished blocks are"
            place = shlex.quote(str(run))
            print(
                f"{count} {are} kept; the same command with --out {place} goes on from there",
                file=sys.stderr,
            )
        raise


def _values(done: Any, run: Path, seconds: float) -> dict[str, Any]:
    return {
        "run": str(run),
        "method": done.method,
        "plan": done.plan.text,
        "seconds": seconds,
        "layers": [asdict(row) for row in done.layers],
        "size_mb": done.size_bytes / 1e6,
        "float_size_mb": done.float_size_bytes / 1e6,
        "skipped": done.skipped,
        "notes": list(done.notes),
        "losses": _ends(done.losses),
    }


def _ends(points: Sequence[Any]) -> list[dict[str, Any]]:
    """First and last loss of every unit in every walk."""
    units: dict[tuple[str, str], list[float]] = {}
    for point in points:
        units.setdefault((point.phase, point.unit), []).append(point.loss)
    return [
        {"phase": phase, "unit": unit, "first": losses[0], "last": losses[-1]}
        for (phase, unit), losses in units.items()
    ]


def _lines(done: Any, values: dict[str, Any]) -> list[str]:
    sizes = f"{number(values['size_mb'], 'MB')} (float: {number(values['float_size_mb'], 'MB')})"
    rows = [["layer", "weight bits", "activation bits", "predicted SQNR"]]
    rows += [
        [r.name, str(r.weight_bits or "-"), str(r.act_bits), number(r.sqnr_db, "dB", 1)]
        for r in done.layers
    ]
    left = [f"less than planned: {name} ({why})" for name, why in done.skipped.items()]
    left += [f"note: {sentence}" for sentence in done.notes]
    head = f"{values['run']}: {done.plan.text} in {number(values['seconds'], 's')}, {sizes}"
    return [head, *table(rows), *left]
