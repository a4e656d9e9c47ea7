"""What block reconstruction costs, from a walk of a few iterations over a few samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from statistics import median

from analysis.calibration.record import CalibrationSet
from analysis.calibration.run import calibrate
from analysis.cost.watch import Watch
from analysis.models.handle import ModelHandle
from analysis.progress import ShouldStop
from analysis.quant.blocks import units
from analysis.quant.phase import LossPoint, Phase
from analysis.quant.qparams import LayerQParams
from analysis.quant.reconstruct import reconstruct
from analysis.records import SamplingSpec

ITERATIONS = 3
ROWS = (4, 12)  # samples of the two walks
LONGEST = 20.0  # seconds that one of them may take; an iteration is about three passes
PASSES = 3


@dataclass(frozen=True)
class WalkCost:
    """Seconds of an iteration in each unit, of the walk around them, and the memory of it all.

    `around` and `peak` are at the two numbers of samples `rows`; in between and beyond, straight
    lines.
    """

    iteration: Mapping[str, float]  # unit -> seconds
    last: str  # the unit that may learn in another way
    around: tuple[float, float]
    peak: tuple[int, int]
    rows: tuple[int, int]

    def seconds(self, phase: Phase, size: int) -> float:
        """Of a whole walk over a calibration set of `size` samples."""
        last = phase.last or phase
        learning = sum(
            one * (last if unit == self.last else phase).iterations
            for unit, one in self.iteration.items()
        )
        return learning + self._at(self.around, size)

    def bytes(self, size: int) -> int:
        """Most bytes that the process holds."""
        return round(max(self.peak[1], self._at(self.peak, size)))

    def _at(self, pair: tuple[float, float], size: int) -> float:
        slope = max(0.0, (pair[1] - pair[0]) / (self.rows[1] - self.rows[0]))
        return pair[1] + slope * (size - self.rows[1])


@dataclass
class _Marks:
    """Hears of iterations; knows the time between one and the next within a unit."""

    watch: Watch
    times: dict[str, list[float]] = field(default_factory=dict)

    def note(self, point: LossPoint) -> None:
        self.times.setdefault(point.unit, []).append(self.watch.seconds())

    def iterations(self) -> dict[str, float]:
        """Unit -> seconds of an iteration; a unit that is not heard of twice costs nothing."""
        return {
            unit: median(b - a for a, b in pairwise(marks))
            for unit, marks in self.times.items()
            if len(marks) > 1
        }


def probe_walk(
    handle: ModelHandle,
    grids: Mapping[str, LayerQParams],
    phase: Phase,
    spec: SamplingSpec,
    pass_seconds: float,
    watch: Watch,
    should_stop: ShouldStop | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> WalkCost:
    """Walk twice, over few samples and over more, a few iterations a unit.

    Args:
        pass_seconds: of a pass of one sample. A slow model learns on a smaller batch here, and
            its iterations are taken to cost in proportion to the batch.
    """
    slow = max(1.0, ITERATIONS * PASSES * pass_seconds * phase.batch / LONGEST)
    short, last = _short(phase, slow), units(handle)[-1]
    if phase.last is not None:
        short = replace(short, last=_short(phase.last, slow))
    around, peaks, iterations = list[float](), list[int](), dict[str, float]()
    for rows in ROWS:
        drawn, marks = _some(handle, spec, rows), _Marks(watch)
        watch.begin()
        started = watch.seconds()
        told = partial(_walked, progress, len(around))
        reconstruct(
            *(handle, grids, drawn, short),
            progress=told,
            should_stop=should_stop,
            on_loss=marks.note,
        )
        took = watch.seconds() - started
        iterations = marks.iterations()
        around.append(max(0.0, took - ITERATIONS * sum(iterations.values())))
        peaks.append(watch.peak())
    scale, of_last = (one.batch / probe.batch for one, probe in _both(phase, short))
    return WalkCost(
        {u: one * (of_last if u == last else scale) for u, one in iterations.items()},
        last,
        (around[0], around[1]),
        (peaks[0], peaks[1]),
        ROWS,
    )


def _walked(
    progress: Callable[[int, int], None], walks: int, done: int, total: int, text: str
) -> None:
    """Tell how far both walks are together."""
    progress(walks * total + done, len(ROWS) * total)


def _short(phase: Phase, slow: float) -> Phase:
    """The same for few iterations, and where it is slow on fewer samples."""
    return replace(phase, iterations=ITERATIONS, batch=max(1, round(phase.batch / slow)))


def _both(phase: Phase, short: Phase) -> tuple[tuple[Phase, Phase], tuple[Phase, Phase]]:
    """The phase and its short form, of most units and of the last."""
    return (phase, short), (phase.last or phase, short.last or short)


def _some(handle: ModelHandle, spec: SamplingSpec, rows: int) -> CalibrationSet:
    """Noise at the timesteps of a run: what is learned here is thrown away."""
    return calibrate(
        handle,
        "gaussian",
        rows,
        spec.seed,
        spec.steps,
        prompt=spec.prompt,
        guidance_scale=spec.guidance_scale,
        with_report=False,
    )
