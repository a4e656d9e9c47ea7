"""Methods x plans x calibrations."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from analysis.atomic import write_whole
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
from analysis.commands.text import pairs
from analysis.console import number, progress_bar, say, table
from analysis.errors import Cancelled
from analysis.progress import Progress
from analysis.runs import new_run, write_manifest

if TYPE_CHECKING:
    from analysis.sweep_rows import RowFolder, Sweep, SweepRow

LISTS = ("--methods", "--plans", "--calibrations")
METHODS_HELP = "rtn, ptq4dm, q-diffusion, eda-dm; several, with spaces or commas between."
PLANS_HELP = "W8A8, W4A8, ...: bits of weights and activations."
CALIBRATIONS_HELP = "own (what each method draws), a sampler such as tdac, or the folder of a run."
BUDGET_HELP = "Seconds after which no row is begun; rows left out are told."


class ListCommand(TyperCommand):
    """Lets some options take several words: `--plans W8A8 W4A8`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give every word after such an option an option of its own."""
        out: list[str] = []
        name = ""
        for word in args:
            if word.startswith("-"):
                name = word if word in LISTS else ""
                out += [] if name else [word]
            else:
                out += [name, word] if name else [word]
        return super().parse_args(ctx, out)


def sweep(
    model: Model = "fashion",
    methods: Annotated[list[str] | None, typer.Option(help=METHODS_HELP)] = None,
    plans: Annotated[list[str] | None, typer.Option(help=PLANS_HELP)] = None,
    calibrations: Annotated[list[str] | None, typer.Option(help=CALIBRATIONS_HELP)] = None,
    samples: Annotated[int, typer.Option(help="Pictures of each row, from the same noise.")] = 16,
    preset: Annotated[str, typer.Option(help="instant, fast or paper.")] = "instant",
    override: Annotated[
        list[str] | None, typer.Option(help="Bits of some layers in every row, GLOB=W8A8.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help=BUDGET_HELP)] = None,
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
    """Every method with every plan. Ctrl-C keeps finished rows; the same --out goes on."""
    import analysis
    from analysis.sweep import sweep as run_sweep

    run = new_run("sweep", out)
    named: dict[str, Any] = {
        "methods": _words(methods, "rtn"),
        "plans": _words(plans, "W8A8"),
        "calibrations": _words(calibrations, "own"),
        "samples": samples,
        "preset": preset,
        "overrides": dict(pairs(override, "--override")),
        "budget": budget,
        "steps": steps,
        "seed": seed,
        "scheduler": scheduler,
        "prompt": prompt,
        "guidance_scale": guidance,
    }
    handle = analysis.load_model(model, device)
    sets = _given(named["calibrations"])
    with _kept(run, {"model": model, **named}) as (known, on_row, begin):
        sure = dry_run, force
        estimate = foretold(handle, "sweep", as_json, *sure, **named, sets=sets, known=known)
        with progress_bar("sweep") as bar:
            done = run_sweep(
                handle,
                **named,
                sets=sets,
                known=known,
                keep=run / "finished",
                progress=_first(begin, bar),
                on_row=on_row,
            )
        values = _write(run, done)
    say({"run": str(run), **values, "estimate": estimate}, as_json, _lines(run, done))


@contextmanager
def _kept(run: Path, arguments: dict[str, Any]) -> Iterator[tuple[RowFolder, Any, Any]]:
    """Rows on disk; a person who stops is told how many, and how to go on.

    Nothing is written before the first row begins: a mistake leaves no folder behind.
    """
    from analysis.sweep_rows import RowFolder, Sweep

    known, rows = RowFolder(run / "rows"), list[Any]()

    def on_row(row: SweepRow) -> None:
        rows.append(row)
        seconds = sum(row.seconds for row in rows)
        _write(run, Sweep(row.model, tuple(rows), (), seconds, "cancelled"))

    try:
        yield known, on_row, lambda: write_manifest(run, "sweep", arguments)
    except (KeyboardInterrupt, Cancelled):
        are = "finished row is" if len(known) == 1 else "finished rows are"
        print(
            f"{len(known)} {are} kept; the same command with --out {shlex.quote(str(run))} goes "
            "on from there",
            file=sys.stderr,
        )
        raise
    finally:
        if run.is_dir() and any(run.iterdir()):
            write_manifest(run, "sweep", arguments)


def _first(begin: Callable[[], None], then: Progress) -> Progress:
    """Progress whose first word is preceded by a call of `begin`."""
    begun = False

    def told(done: int, total: int, text: str) -> None:
        nonlocal begun
        if not begun:
            begin()
        begun = True
        then(done, total, text)

    return told


def _write(run: Path, done: Sweep) -> dict[str, Any]:
    """`sweep.csv` and `sweep.json`; the latter's content is returned."""
    from analysis.sweep_rows import csv_text, json_text, report_of

    values = report_of(done)
    write_whole(run / "sweep.csv", csv_text(done.rows).encode())
    write_whole(run / "sweep.json", json_text(values).encode())
    return values


def _lines(run: Path, done: Sweep) -> list[str]:
    head = ["method", "plan", "calibration", "PSNR", "SSIM", "Frechet", "size", "time"]
    rows = [head, *(_cells(row) for row in done.rows)]
    failed = [f"{r.method} {r.plan} ({r.calibration}) failed: {r.error}" for r in done.rows]
    missing = ", ".join(f"{c.method} {c.plan} ({c.calibration})" for c in done.not_reached)
    foot = [f"not reached within the budget: {missing}"] if missing else []
    first = done.rows[0] if done.rows else None
    floats = [f"Frechet of the float model: {number(first.frechet_float)}"] if first else []
    count = f"{len(done.rows)} row{'' if len(done.rows) == 1 else 's'}"
    said = f"{count} in {number(done.seconds, 's')}: {run / 'sweep.csv'}"
    shown = [text for text, row in zip(failed, done.rows, strict=True) if row.error]
    return [said, *table(rows), *floats, *shown, *foot]


def _cells(row: SweepRow) -> list[str]:
    named = [row.method, row.plan, row.calibration]
    measured = [number(row.psnr_db, "dB"), number(row.ssim, digits=3), number(row.frechet)]
    return [*named, *measured, number(row.size_mb, "MB"), number(row.seconds, "s", 1)]


def _words(given: list[str] | None, default: str) -> list[str]:
    """All names, whether words, commas or repeated options stood between them."""
    return [word for text in given or [default] for word in re.split(r"[,\s]+", text) if word]


def _given(names: list[str]) -> dict[str, Any]:
    """Captures and calibration sets of the names that are folders or files."""
    from analysis.calibration.samplers import SAMPLERS
    from analysis.commands.calibrated_on import load_calibrated_on
    from analysis.runs import RUNS

    paths = [n for n in names if n != "own" and n not in SAMPLERS]
    there = [n for n in paths if Path(n).exists() or (RUNS / n).exists()]
    return {name: load_calibrated_on(name) for name in there}
