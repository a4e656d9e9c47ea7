"""The command line: `python -m analysis COMMAND`. Each command is thin; the library works."""

from __future__ import annotations

import ast
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer._click.exceptions import ClickException

from analysis.console import number, progress_bar, say, table
from analysis.errors import Cancelled, UserError
from analysis.runs import (
    CAPTURE_FILE,
    find_capture,
    find_run,
    new_run,
    write_manifest,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="See why quantizing a diffusion model is hard: capture, quantize, compare.",
)

Model = Annotated[str, typer.Option(help="Bundled name, diffusers folder or hub id.")]
Seed = Annotated[int, typer.Option(help="Seed of the noise, 0 or more.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Steps = Annotated[int, typer.Option(help="Sampling steps.")]
Scheduler = Annotated[str | None, typer.Option(help="ddim, ddpm, dpm++, ...; default: own.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write; default: under runs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Prompt = Annotated[str | None, typer.Option(help="For models that take one.")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale.")]


@app.command()
def info(
    model: Model = "fashion",
    device: Device = "auto",
    steps: Steps = 50,
    as_json: Json = False,
) -> None:
    """Layers, shortcuts, size and memory of a model."""
    import analysis
    from analysis.capture.run import statistics_megabytes

    handle = analysis.load_model(model, device)
    values: dict[str, Any] = {
        "model": handle.name,
        "parameters": handle.parameters,
        "size_mb": handle.parameters * handle.dtype.itemsize / 1e6,
        "memory_mb": {
            "weights": handle.parameters * handle.dtype.itemsize / 1e6,
            f"statistics_{steps}_steps": statistics_megabytes(handle, steps),
        },
        "sample_shape": list(handle.sample_shape),
        "layers": [
            {"name": layer.name, "kind": layer.kind, "shape": list(layer.shape)}
            for layer in handle.layers
        ],
        "shortcuts": [asdict(shortcut) for shortcut in handle.shortcuts],
    }
    rows = [["layer", "kind", "shape"]]
    rows += [[r["name"], r["kind"], "x".join(map(str, r["shape"]))] for r in values["layers"]]
    head = f"{handle.name}: {handle.parameters:,} parameters, {number(values['size_mb'], 'MB')}"
    cuts = [f"{s.layer}: {s.channels_h} + {s.channels_skip}" for s in handle.shortcuts]
    say(values, as_json, [head, *table(rows), "shortcuts (h + skip channels):", *cuts])


@app.command()
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
    with progress_bar("capture") as progress:
        done = run_capture(handle, **arguments, progress=progress)
    analysis.save_capture(done, run / CAPTURE_FILE)
    write_manifest(run, "capture", {"model": model, **arguments})
    values: dict[str, Any] = {
        "run": str(run),
        "layers": [layer.name for layer in done.layers],
        "timesteps": done.timesteps,
        "samples": samples,
        "seconds": done.seconds,
        "peak_mb": done.peak_mb,
        "never_ran": done.meta["never_ran"],
    }
    absent = [f"never ran: {', '.join(done.meta['never_ran'])}"] * bool(done.meta["never_ran"])
    head = f"{len(done.layers)} tensors x {len(done.timesteps)} timesteps in {run}"
    cost = f"{number(done.seconds, 's')}, process peak {number(done.peak_mb, 'MB', 0)}"
    say(values, as_json, [head, cost, *absent])


@app.command()
def shortcuts(
    run: Annotated[str, typer.Argument(help="A capture: run folder or file.")],
    timestep: Annotated[float | None, typer.Option(help="Default: middle of the run.")] = None,
    as_json: Json = False,
) -> None:
    """How bimodal each concatenated shortcut input is."""
    import analysis

    reports = analysis.shortcut_report(analysis.load_capture(find_capture(run)), timestep)
    rows = [["layer", "range h", "range skip", "ratio", "dip p", "Ashman D", "bimodal", "4 bits"]]
    for r in reports:
        small = f"{r.sqnr_db_small_half_joint[4]:.1f} -> {r.sqnr_db_small_half_split[4]:.1f} dB"
        figures = [r.range_h, r.range_skip, r.range_ratio, r.dip_p, r.ashman_d]
        cells = [number(f, digits=3 if f is r.dip_p else 1) for f in figures]
        rows.append([r.layer, *cells, "yes" if r.bimodal else "no", small])
    foot = "4 bits: SQNR of the narrower half under one scale for both -> under its own"
    say({"shortcuts": [asdict(r) for r in reports]}, as_json, [*table(rows), foot])


@app.command()
def quantize(
    model: Model = "fashion",
    method: Annotated[str, typer.Option(help="rtn, ...")] = "rtn",
    plan: Annotated[str, typer.Option(help="W4A8: bits of weights and activations.")] = "W8A8",
    preset: Annotated[str, typer.Option(help="instant, fast or paper.")] = "instant",
    calibration: Annotated[str | None, typer.Option(help="A capture to calibrate on.")] = None,
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

    run = new_run(f"{method}-{plan}", out)
    options: dict[str, Any] = {k: _literal(v) for k, v in _pairs(option, "--set")}
    if override:
        options["overrides"] = dict(_pairs(override, "--override"))
    calibrated_on = None
    if calibration is not None:
        calibrated_on = analysis.load_capture(find_capture(calibration))
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
    left = [f"left float: {name} ({why})" for name, why in done.skipped.items()]
    say(
        values,
        as_json,
        [f"{run}: {done.plan.text} in {number(seconds, 's')}, {sizes}", *table(rows), *left],
    )


@app.command()
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

    run = find_run(quantized)
    folder = None if out is None else new_run("compare", out)
    handle = None if model is None else analysis.load_model(model, device)
    loaded = analysis.load_quantized(run, handle)
    if handle is None:
        handle = analysis.load_model(loaded.handle.name, device)
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


@app.command()
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
    folder = new_run(f"export-{format}", out)
    files = write(loaded, folder)
    write_manifest(folder, "export", {"quantized": quantized, "format": format})
    size = sum(path.stat().st_size for path in files)
    names = [str(path) for path in files]
    say({"files": names, "bytes": size}, as_json, [*names, f"{size / 1e6:.2f} MB"])


def _pairs(items: list[str] | None, name: str) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in items or []]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise UserError(f"{name} takes NAME=VALUE; got {key + equals + value!r}.")
    return [(key, value) for key, _, value in pairs]


def _literal(text: str) -> Any:
    """A number, true, false or none where the text is one; else the text."""
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main() -> NoReturn:
    """Run the command line; a person's mistake ends in one line and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort, Cancelled):
        print("cancelled", file=sys.stderr)
        sys.exit(130)
    except ClickException as error:
        _fail(error.format_message())
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}.")
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> NoReturn:
    print("error: " + " ".join(message.split()), file=sys.stderr)
    sys.exit(2)
