"""Float against quantized."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from analysis.commands.foretold import foretold
from analysis.commands.options import (
    Device,
    DryRun,
    Force,
    Guidance,
    Json,
    Out,
    Prompt,
    Scheduler,
    Seed,
    Steps,
)
from analysis.console import number, progress_bar, say, table
from analysis.runs import find_run, new_run, write_manifest

FASTEST = "fastest"
TOLD = ("samples", "steps", "seed", "scheduler", "prompt", "guidance_scale")


def compare(
    quantized: Annotated[str, typer.Option(help="A quantized run.")],
    model: Annotated[str | None, typer.Option(help="Default: the run's own model.")] = None,
    samples: Annotated[int, typer.Option(help="Samples from the same noise.")] = 64,
    steps: Steps = 50,
    seed: Seed = 0,
    scheduler: Scheduler = None,
    prompt: Prompt = None,
    guidance: Guidance = None,
    backend: Annotated[
        str | None, typer.Option(help="openvino or onnxruntime: run the exported model there.")
    ] = None,
    rest: Annotated[
        str | None,
        typer.Option(help="With --backend, of what is no integer: float32, bfloat16 or fastest."),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Sample under torch.compile, where that works.")
    ] = False,
    device: Device = "auto",
    out: Out = None,
    dry_run: DryRun = False,
    force: Force = False,
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
    told = (samples, steps, seed, scheduler, prompt, guidance)
    _check(backend, rest, compile)
    named = dict(zip(TOLD, told, strict=True))
    estimate = foretold(
        handle, "compare", as_json, dry_run, force, quantized=loaded, real=bool(backend), **named
    )
    with progress_bar("compare") as progress:
        real: dict[str, Any] = {}
        if backend is None:
            done = analysis.compare(handle, loaded, *told, progress=progress, compile=compile)
        else:
            done, real = _in_backend(handle, loaded, backend, rest or FASTEST, told, progress)
    values = {"quantized": str(run), **done.values, **real, "estimate": estimate}
    if folder is not None:
        save_pictures(done, folder)
        write_manifest(folder, "compare", {**asdict(done.spec), "quantized": str(run)})
        values["run"] = str(folder)
    more = _real_lines(real) if real else values.get("not_compiled", [])
    say(values, as_json, _lines(values, backend) + more)


def _check(backend: str | None, rest: str | None, compile: bool) -> None:
    from analysis.errors import UserError

    if rest is not None and backend is None:
        raise UserError("--rest belongs to --backend; add one, or leave it out.")
    if compile and backend is not None:
        raise UserError("--compile is of torch and --backend of another runtime; choose one.")


def _lines(values: dict[str, Any], backend: str | None) -> list[str]:
    from analysis.unseen import unseen_sentence

    n = f"N = {values['samples']}, {values['steps']} steps"
    unseen = unseen_sentence(values["unseen_timesteps"], values["steps"])
    return [
        f"PSNR {number(values['psnr_db'], 'dB')}, SSIM {number(values['ssim'], digits=3)}, "
        f"SQNR {number(values['sqnr_db'], 'dB')} ({n})",
        f"Frechet distance to the data ({n}): float {number(values['frechet_float'])}, "
        f"quantized {number(values['frechet_quantized'])}",
        f"float {number(values['seconds_float'], 's')}, "
        f"{backend or 'simulated quantization'} {number(values['seconds_quantized'], 's')}",
        *([unseen] if unseen else []),
    ]


def _in_backend(
    handle: Any, loaded: Any, backend: str, rest: str, told: tuple[Any, ...], progress: Any
) -> tuple[Any, dict[str, Any]]:
    from analysis.backends import rest_options
    from analysis.backends.compare import compare_real

    options = rest_options(rest)
    samples, steps, *others = told
    done = compare_real(
        handle, loaded, backend, samples, steps, *others, options=options, progress=progress
    )
    return done.comparison, dict(done.values)


def _real_lines(real: dict[str, Any]) -> list[str]:
    rows = [["layer", "ran in", "simulation to runtime", "remark"]]
    rows += [[r["name"], r["ran"] or "-", _db(r["sqnr_db"]), r["why"]] for r in real["layers"]]
    lines = [
        f"PSNR to the simulated model {_db(real['psnr_simulated_db'])}, simulated in "
        f"{number(real['seconds_simulated'], 's')}, {real['bytes'] / 1e6:.2f} MB as ONNX (float "
        f"weights: {real['bytes_float'] / 1e6:.2f} MB)",
        f"{real['integer_layers']} of {len(real['layers'])} layers and products in int8, the rest "
        f"in {real['rest']}",
    ]
    if real["work"]:
        shares = ", ".join(f"{name} {100 * part:.0f} %" for name, part in real["work"].items())
        lines.append(f"time of a step: {shares}")
    if real["symmetry"]:
        cost = real["symmetry"]
        lines.append(
            f"symmetric weights cost {_db(cost['cost_db'])}: PSNR to float "
            f"{_db(cost['symmetric_db'])} against {_db(cost['asymmetric_db'])} with asymmetric "
            "ones (rounded to nearest, simulated)"
        )
    return [*lines, *real["notes"], *table(rows)]


def _db(value: float | None) -> str:
    """Decibels for people; a dash where there are none, `equal` where nothing differs."""
    return "equal" if value == float("inf") else number(value, "dB", 1)
