"""Seconds and bytes as sums of what was counted, with factors that are never negative.

Lawson & Hanson's non-negative least squares on relative errors, so that small points count as
much as large ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.scaling.features import Features
from benchmarks.scaling.points import BATCH, Point

MEGA, GIGA, TERA = 1e6, 1e9, 1e12
TIME = (
    "s at all",
    "s a layer and pass",
    "s a TFLOP",
    "s a GB of inputs",
    "s a GB of weights and pass",
)
MEMORY = ("MB at all", "MB a MB of parameters", "MB a MB of inputs kept", "MB a MB of the largest")
FLOAT = 4  # bytes
MOST = 16  # samples of a batch
LEARNING = 3  # passes that an iteration is worth: forward, and twice as much backward


def time_terms(point: Point, counted: Features) -> list[float]:
    """What seconds are proportional to."""
    passes, rows = _passes(point)
    values = counted.values * FLOAT / GIGA
    weights = counted.parameters * FLOAT / GIGA  # read once a pass, however small the batch
    return [
        1.0,  # the first pass makes kernels
        passes * counted.layers,
        rows * counted.flops / TERA,
        rows * values,
        passes * weights,
    ]


def memory_terms(point: Point, counted: Features) -> list[float]:
    """What MB at the peak are made of."""
    if point.work == "reconstruction":
        rows, kept = BATCH, 2 * point.samples  # the float and the quantized half of the walk
    else:
        rows, kept = min(point.samples, MOST), 0
    largest = counted.largest * FLOAT / MEGA
    return [1.0, counted.parameters * FLOAT / MEGA, kept * largest, rows * largest]


@dataclass(frozen=True)
class Fit:
    """Factors of the terms, and the largest relative error among the points fitted."""

    factors: tuple[float, ...]
    worst: float

    def at(self, terms: Sequence[float]) -> float:
        return float(np.dot(self.factors, terms))


def fitted(rows: Sequence[Sequence[float]], found: Sequence[float]) -> Fit:
    """Factors >= 0 that make rows [N, K] times them come close to found [N], relatively."""
    from scipy.optimize import nnls

    target = np.asarray(found, dtype=float)
    scaled = np.asarray(rows, dtype=float) / target[:, None]
    factors, _ = nnls(scaled, np.ones(len(target)))
    return Fit(tuple(factors.tolist()), float(np.abs(scaled @ factors - 1).max()))


def held_out(rows: Sequence[Sequence[float]], found: Sequence[float]) -> float:
    """The last point over what all others foretell of it."""
    return found[-1] / fitted(rows[:-1], found[:-1]).at(rows[-1])


def _passes(point: Point) -> tuple[float, float]:
    """Passes, and samples in all of them."""
    batches = -(-point.samples // MOST)
    if point.work != "reconstruction":
        return point.steps * batches, point.steps * point.samples
    walk = 4 * point.samples  # both models answer, twice
    return 4 + LEARNING * point.steps, walk + LEARNING * point.steps * BATCH


def predicted(fits: dict[str, Any], point: Point, counted: Features) -> tuple[float, float]:
    """Seconds and MB of a point that was not measured."""
    time, memory = fits[point.work]
    return time.at(time_terms(point, counted)), memory.at(memory_terms(point, counted))
