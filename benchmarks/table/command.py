"""`python -m benchmarks table`: run what is missing, then write the document."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from analysis.atomic import write_whole
from analysis.errors import UserError

if TYPE_CHECKING:
    from benchmarks.table.one_row import Bench

EPILOG = """rows are named like q-diffusion_W4A8_fast_seed0_without-split; --budget 0 runs none and
only writes the document anew."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Run the command; the exit status is 1 where a row failed, 130 after Ctrl-C."""
    try:
        sys.exit(_shared(_parser().parse_args(arguments), arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks table", description=__doc__, epilog=EPILOG
    )
    add = parser.add_argument
    add("--model", default="fashion", help="bundled name, diffusers folder or hub id")
    add("--device", default="cpu", help="auto, cpu or cuda")
    add("--samples", type=int, default=1000, help="samples of every row (default: 1000)")
    add("--steps", type=int, default=10, help="sampling steps (default: 10)")
    add("--runs", type=Path, default=Path("runs/table"), help="folder of finished rows")
    add("--out", type=Path, default=Path("docs/results.md"), help="the document")
    add("--rows", default="*", metavar="GLOB", help="run these rows only; all finished are shown")
    add("--budget", type=float, metavar="MINUTES", help="stop before a row that would not fit")
    add("--keep-stale", action="store_true", help="keep rows of older code, and mark them")
    add("--jobs", type=int, choices=(1, 2), default=1, help="2: a second process starts at the end")
    add("--backwards", action="store_true", help="start at the end, and write no document")
    add("--list", action="store_true", help="print the rows' names in order, and run none")
    return parser


def _shared(chosen: argparse.Namespace, arguments: Sequence[str]) -> int:
    """The run, or two that meet in the middle, each on its part of the cores.

    Two processes wait less than the threads of one do for each other.
    """
    if chosen.jobs == 1:
        return _run(chosen)
    threads = str(max(1, (os.cpu_count() or 1) // chosen.jobs))
    command = [sys.executable, "-m", "benchmarks", "table", *arguments, "--jobs", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    ways = ([], ["--backwards"])
    running = [subprocess.Popen([*command, *way], env=environment) for way in ways]
    try:
        return max(process.wait() for process in running)
    except KeyboardInterrupt:  # they have had it, too
        return max(process.wait() for process in running)
    finally:
        _run(argparse.Namespace(**{**vars(chosen), "budget": 0.0}))


def _run(chosen: argparse.Namespace) -> int:
    # Slow to import, and --help does not need them.
    from benchmarks.table.loop import run_rows, say
    from benchmarks.table.one_row import is_there, method_parts
    from benchmarks.table.render import Report, render
    from benchmarks.table.rows import table_rows

    parts = method_parts()
    rows = table_rows(parts)
    wanted = [row for row in rows if fnmatchcase(row.slug, chosen.rows)]
    if not wanted:
        raise UserError(f"No row matches {chosen.rows!r}; --list prints their names.")
    if chosen.list:
        print(*(row.slug + " (not there yet)" * (not is_there(row)) for row in wanted), sep="\n")
        return 0
    bench = _bench(chosen)
    budget = None if chosen.budget is None else chosen.budget * 60
    outcome = run_rows(bench, wanted[::-1] if chosen.backwards else wanted, budget)
    if chosen.backwards:
        return 130 if outcome.interrupted else int(bool(outcome.failed))
    records = [r for row in rows if is_there(row) and (r := bench.record(row)) is not None]
    report = Report(bench.settings, rows, records, tuple(parts), outcome.failed, chosen.jobs)
    write_whole(chosen.out, render(report).encode())
    say(f"{len(records)} of {len(rows)} rows are in {chosen.out}")
    return 130 if outcome.interrupted else int(bool(outcome.failed))


def _bench(chosen: argparse.Namespace) -> Bench:
    import analysis
    from analysis.models.trajectory import sampling_spec
    from benchmarks.table.one_row import Bench
    from benchmarks.table.store import Settings

    model = analysis.load_model(chosen.model, chosen.device)
    sampling_spec(model, chosen.steps, chosen.samples)  # refuses what makes no sense
    settings = Settings(chosen.model, model.digest, chosen.samples, chosen.steps, str(model.device))
    return Bench(model, settings, chosen.runs, chosen.keep_stale)
