"""The two-step probe: a run is begun with its own arguments, and stopped when two are timed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from analysis.cost.counts import Passes
from analysis.cost.watch import Watch
from analysis.errors import Cancelled
from analysis.progress import ShouldStop

Begin = Callable[[int, ShouldStop], object]  # samples in one batch, asked after every pass
STEPS = 3  # the first also sets up; two are timed
LONG = 24  # passes of a run that is worth three of its own
LONGER = 0.25  # seconds; while the steps take less, more are timed
MARGIN = 0.9  # of the free memory


@dataclass(frozen=True)
class StepCost:
    """Seconds and bytes of a pass at two numbers of samples; straight lines between and beyond."""

    rows: tuple[int, ...]
    seconds: tuple[float, ...]
    extra: tuple[int, ...]  # bytes at the peak, above those held before
    peak: int  # most bytes that the process held while it was probed

    def of(self, passes: Passes) -> float:
        """Seconds of many passes."""
        return sum(count * _line(self.rows, self.seconds, n) for n, count in passes.items())

    def bytes(self, rows: int) -> int:
        """Most bytes that a pass of `rows` samples makes the process hold."""
        beyond = _line(self.rows, self.extra, rows) - max(self.extra)
        return self.peak + max(0, round(beyond))


def probe_steps(begin: Begin, watch: Watch, rows: int, passes: int) -> StepCost:
    """Time two steps of one sample, then two of all `rows` if the run is long enough for that.

    A short run is known from one sample and half of them, one that may not fit into memory from
    one and two. From one and two it would be timed too badly: what a sample more takes is then
    less than the noise of a shared machine.

    Args:
        passes: of the run that is to be foretold.
    """
    first = _timed(begin, watch, 1, passes)
    measured = [(1, *first)]
    if rows > 1:
        free = watch.free()
        fits = free is None or first[1] * rows < MARGIN * free
        enough = rows if passes >= LONG else max(2, rows // 2)
        more = enough if fits else 2
        measured.append((more, *_timed(begin, watch, more, passes)))
    counts, seconds, extra, peaks = zip(*measured, strict=True)
    return StepCost(counts, seconds, extra, max(peaks))


def _timed(begin: Begin, watch: Watch, rows: int, passes: int) -> tuple[float, int, int]:
    """Seconds of a pass, bytes at the peak above those held before, and bytes at the peak."""
    marks: list[float] = []
    most = max(STEPS, passes // LONG)

    def stop() -> bool:
        marks.append(watch.seconds())
        enough = marks[-1] - marks[0] > LONGER or len(marks) >= most
        return len(marks) >= STEPS and enough

    before = watch.held()
    watch.begin()
    started = watch.seconds()
    with suppress(Cancelled):
        begin(rows, stop)
    steps = np.diff(marks).tolist() or [marks[0] - started]  # the first step also sets up
    return median_low(steps), max(0, watch.peak() - before), watch.peak()


def _line(known: tuple[int, ...], values: tuple[float, ...] | tuple[int, ...], at: int) -> float:
    """The straight line through the first and the last point; with one, in proportion."""
    (x_0, y_0), (x_1, y_1) = (known[0], values[0]), (known[-1], values[-1])
    if x_0 == x_1:
        return y_0 * at / x_0
    slope = max(0.0, (y_1 - y_0) / (x_1 - x_0))
    return y_0 + slope * (at - x_0)
