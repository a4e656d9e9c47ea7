"""The range whose grid tells most of how the values are distributed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.quant.grid import steps_from_zero
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.quant.ranges.rows import row_stats
from analysis.quant.ranges.search import shrink_by_stats
from analysis.records import ActivationStats, Array

if TYPE_CHECKING:
    from torch import Tensor

SMOOTH = 1e-4  # share of evenly spread mass, so that no bin is impossible


@ESTIMATORS.register("kl")
@dataclass(frozen=True)
class KL:
    """Least Kullback-Leibler divergence over 80 jointly shrunk ranges, on a histogram.

    As in TensorRT's entropy calibration (Migacz 2017): P piles what is clipped onto the last
    bins inside the range; Q knows nothing of it, and spreads what each level holds evenly over
    the level's occupied bins. A histogram that is no finer than the grid can only tell clipping
    apart, so that nothing is then clipped. A tensor is searched on its 2,048-bin histogram.
    """

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        found = [self.of_stats(row_stats(row), bits, symmetric) for row in x]
        lo, hi = x.new_tensor(found).T
        return lo, hi

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        return shrink_by_stats(stats, bits, symmetric, divergences)


def divergences(counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int) -> Array:
    """KL(P || Q) [K] in nats of K grids on one histogram, counts [B] over edges [B + 1]."""
    s = np.asarray(scale, dtype=np.float64)[:, None]
    z = np.asarray(zero_point, dtype=np.float64)[:, None]
    middle = (edges[1:] + edges[:-1]) / 2
    steps = steps_from_zero(middle, s, z, bits)  # [K, B]
    inside = np.abs(middle - steps * s) <= s / 2 * (1 + 1e-9)
    kept = np.where(inside, counts, 0.0)
    return _kl(_piled(counts, inside), _spread(kept, (steps + z).astype(np.int64), 2**bits))


def _piled(counts: Array, inside: Array) -> Array:
    """Counts [K, B] with what lies outside added to the first or the last bin inside."""
    bins = counts.size
    first = np.where(inside.any(axis=1), inside.argmax(axis=1), 0)
    last = np.where(inside.any(axis=1), bins - 1 - inside[:, ::-1].argmax(axis=1), bins - 1)
    at = np.clip(np.arange(bins), first[:, None], last[:, None])  # [K, B]
    offsets = bins * np.arange(len(inside))[:, None]
    weights = np.broadcast_to(counts, at.shape)
    flat = np.bincount((at + offsets).ravel(), weights.ravel(), minlength=at.size)
    return flat.reshape(at.shape)


def _spread(kept: Array, levels: Array, number: int) -> Array:
    """Mass [K, B] of each level shared evenly by the level's occupied bins."""
    index = (levels + number * np.arange(len(kept))[:, None]).ravel()
    occupied = (kept > 0).ravel()
    total = len(kept) * number
    mass = np.bincount(index, kept.ravel(), minlength=total)
    among = np.bincount(index, occupied, minlength=total)
    return np.where(occupied, mass[index] / np.maximum(among[index], 1), 0.0).reshape(kept.shape)


def _kl(p: Array, q: Array) -> Array:
    """KL [K] of rows that are normalized and smoothed first."""
    p, q = (
        (1 - SMOOTH) * rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-300)
        + SMOOTH / rows.shape[1]
        for rows in (p, q)
    )
    return (p * np.log(p / q)).sum(axis=1)
