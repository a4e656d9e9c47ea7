"""The quality to reach, computed from the rows of all seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

from benchmarks.table.groups import Groups, values
from benchmarks.table.markdown import percent
from benchmarks.table.rows import LEARNED, METHODS, SEEDS, Row, float_row

NEAR_FLOAT, CUT, GAIN_DB = 0.05, 0.70, 4.0
REACHED, NOT_REACHED, NOT_KNOWN = "reached", "not reached", "not known yet"


@dataclass(frozen=True)
class Goal:
    """One goal for one method: the number it asks for, the number found, the outcome."""

    title: str
    method: str
    found: float | None
    unit: str
    outcome: str
    seeds: int


def goals(groups: Groups) -> list[Goal]:
    """All goals; one is decided once every seed of every row it needs is there."""
    near = [_near_float(groups, method) for method in METHODS]
    cut = [_cut(groups, method) for method in LEARNED]
    return [*near, *cut, *(_gain(groups, method) for method in LEARNED)]


def _near_float(groups: Groups, method: str) -> Goal:
    title = f"W8A8: Frechet distance within {percent(NEAR_FLOAT)} of float"
    rows = (Row(method, "W8A8"), float_row())

    def relative(found: float, base: float) -> float | None:
        return found / base - 1 if base else None

    return _goal(title, groups, rows, "frechet", relative, "%", lambda v: abs(v) <= NEAR_FLOAT)


def _cut(groups: Groups, method: str) -> Goal:
    title = f"W4A8: {percent(CUT)} or more of rtn's excess Frechet distance removed"
    rows = (Row(method, "W4A8"), Row("rtn", "W4A8"), float_row())

    def cut(found: float, rounded: float, base: float) -> float | None:
        return 1 - (found - base) / (rounded - base) if rounded > base else None

    return _goal(title, groups, rows, "frechet", cut, "%", lambda v: v >= CUT)


def _gain(groups: Groups, method: str) -> Goal:
    title = f"W4A8: {GAIN_DB:g} dB PSNR or more over rtn"
    rows = (Row(method, "W4A8"), Row("rtn", "W4A8"))
    return _goal(title, groups, rows, "psnr_db", lambda a, b: a - b, "dB", lambda v: v >= GAIN_DB)


def _goal(
    title: str,
    groups: Groups,
    rows: tuple[Row, ...],
    metric: str,
    combine: Callable[..., float | None],
    unit: str,
    reached: Callable[[float], bool],
) -> Goal:
    """A goal on the means over the seeds that all rows have."""
    columns = [values(groups, row, metric) for row in rows]
    seeds = set.intersection(*(set(column) for column in columns)) & set(SEEDS)
    found = combine(*(mean(c[s] for s in seeds) for c in columns)) if seeds else None
    outcome = NOT_KNOWN
    if len(seeds) == len(SEEDS):
        outcome = REACHED if found is not None and reached(found) else NOT_REACHED
    return Goal(title, rows[0].method, found, unit, outcome, len(seeds))
