"""All rows, one after the other, within a budget of time; what is finished stays finished."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from analysis.errors import UserError
from benchmarks.table.one_row import Bench, is_there, run_row
from benchmarks.table.rows import LEARNED, Row
from benchmarks.table.sources import loaded_digest, source_digest
from benchmarks.table.store import Record, Settings, write_record

# Guesses that hold until a row like the one in question is finished.
SAMPLE_STEP_S = 0.008  # a simulated sample and step on two threads
QUANTIZE_S = {"instant": 30.0, "fast": 180.0, "paper": 7200.0}
ROUND_S = 30.0  # of methods that learn nothing, at any preset


@dataclass
class Outcome:
    """How a run of the table went."""

    failed: dict[Row, str] = field(default_factory=dict)
    interrupted: bool = False
    over_budget: bool = False


def run_rows(
    bench: Bench,
    rows: Iterable[Row],
    budget_s: float | None = None,
    run: Callable[[Bench, Row], Record] = run_row,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Run what is not finished, in order; Ctrl-C, or a row that would not fit, ends it.

    A row that fails is told of and does not stop the others.
    """
    outcome, started = Outcome(), clock()
    present = [row for row in rows if is_there(row)]
    done = {row: found for row in present if (found := bench.record(row)) is not None}
    waiting = [row for row in present if row not in done]
    say(f"{len(done)} rows are finished, {len(waiting)} are to be run{_left(bench, waiting, done)}")
    while waiting:
        row = waiting[0]
        if (found := bench.record(row)) is not None:  # another process has finished it
            done[row] = found
            waiting.remove(row)
            continue
        spent = clock() - started
        if budget_s is not None and spent + expected(row, done, bench.settings) > budget_s:
            outcome.over_budget = True
            say(f"{row.slug} and {len(waiting) - 1} more rows do not fit into the budget")
            break
        try:
            done[row] = _finish(bench, row, run)
            took = ", ".join(f"{name} {s:.0f} s" for name, s in done[row].seconds.items())
        except KeyboardInterrupt:
            outcome.interrupted = True
            say("interrupted; the finished rows are kept")
            break
        except Exception as error:  # one row must not end two hours of others
            outcome.failed[row] = f"{type(error).__name__}: {error}"
            took = f"failed ({outcome.failed[row]})"
            if not isinstance(error, UserError):
                traceback.print_exc()
        waiting.remove(row)
        say(f"{row.slug}: {took}; {len(waiting)} rows left{_left(bench, waiting, done)}")
    _warn_of_changes({row.method for row in present})
    return outcome


def expected(row: Row, done: Mapping[Row, Record], settings: Settings) -> float:
    """Seconds that a row will take, judged by the finished ones that are most like it."""
    others = {r: record for r, record in done.items() if not r.is_float}
    guess = settings.samples * settings.steps * SAMPLE_STEP_S
    sampling = mean([record.seconds["sample"] for record in others.values()] or [guess])
    if row.is_float:
        return sampling

    def like(r: Row, depth: int) -> tuple[Any, ...]:
        return (r.method, r.preset, r.without, r.plan)[:depth]

    for depth in (4, 3, 2):
        alike = [o.seconds for r, o in others.items() if like(r, depth) == like(row, depth)]
        if alike:
            calibrating = mean(s["calibrate"] for s in alike) * (not _is_drawn(row, others))
            return sampling + calibrating + mean(s["quantize"] for s in alike)
    return sampling + (QUANTIZE_S[row.preset] if row.method in LEARNED else ROUND_S)


def _is_drawn(row: Row, finished: Iterable[Row]) -> bool:
    """Whether a finished row has left the calibration that this one takes."""
    wanted = (row.method, row.seed, row.calibration)
    return any((r.method, r.seed, r.calibration) == wanted for r in finished)


def say(text: str) -> None:
    """One line on stderr."""
    print(f"table: {text}", file=sys.stderr, flush=True)


def _finish(bench: Bench, row: Row, run: Callable[[Bench, Row], Record]) -> Record:
    """Run a row and write it, under the digest of the code that it began with."""
    source = loaded_digest(row.method)
    record = run(bench, row)
    write_record(bench.folder, record, source)
    return record


def _warn_of_changes(methods: Iterable[str]) -> None:
    changed = sorted(name for name in methods if source_digest(name) != loaded_digest(name))
    if changed:
        say(f"the code changed meanwhile: next time, rows of {', '.join(changed)} are run again")


def _left(bench: Bench, waiting: Iterable[Row], done: Mapping[Row, Record]) -> str:
    seconds = sum(expected(row, done, bench.settings) for row in waiting)
    return f", about {seconds / 60:.0f} min" if seconds else ""
