"""Range estimators over many tensors at once: the same choices, found sooner.

The searches over 80 shrunk ranges (`analysis.quant.ranges.search`) are ranked in single precision
first; what could have won is then judged by the estimator itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.quant.grid import qparams_from_range
from analysis.quant.ranges import get_estimator
from analysis.quant.ranges.l1 import L1
from analysis.quant.ranges.lp import Lp
from analysis.quant.ranges.mse import MSE
from analysis.quant.ranges.search import FACTORS, ShrinkSearch
from analysis.records import ActivationStats, Array

CLOSE = 1.001  # candidates this near to the best in single precision are judged again
LOST_DIGITS = 5e-4  # a sum this small beside its summands is too uncertain in single precision
THIN = 0.01  # a bin cut to less of its width is a point, and not for single precision


def estimate_ranges(
    tensors: Sequence[ActivationStats], bits: int, symmetric: bool, estimator: str
) -> Array:
    """The range [L, 2] that an estimator chooses for each tensor, as `estimate_range` does.

    Raises:
        UserError: for an estimator that does not exist.
    """
    chosen = get_estimator(estimator)
    power = _power(chosen)
    if power is None or not isinstance(chosen, ShrinkSearch):
        ends = [chosen.of_stats(stats, bits, symmetric) for stats in tensors]
    else:
        room = _Room()
        ends = [_search(chosen, stats, bits, symmetric, power, room) for stats in tensors]
    return np.array(ends, dtype=np.float64).reshape(-1, 2)


def _power(estimator: object) -> float | None:
    """p, where the estimator's criterion is the mean of |x - x_q|^p."""
    if isinstance(estimator, Lp):
        return estimator.p
    if isinstance(estimator, MSE):
        return 2.0
    return 1.0 if isinstance(estimator, L1) else None


class _Room:
    """Three arrays [K, B + 1] that are written again for every tensor: fresh memory is slow."""

    def __init__(self) -> None:
        self._all = np.empty((3, 0, 0), dtype=np.float32)

    def of(self, rows: int, columns: int) -> Array:
        if self._all.shape[1:] != (rows, columns):
            self._all = np.empty((3, rows, columns), dtype=np.float32)
        return self._all


def _search(
    estimator: ShrinkSearch,
    stats: ActivationStats,
    bits: int,
    symmetric: bool,
    power: float,
    room: _Room,
) -> tuple[float, float]:
    edges = np.clip(stats.histogram.edges, stats.min, stats.max)
    width, counts = np.diff(edges), stats.histogram.counts
    if (counts[width < THIN * stats.histogram.width] > 0).any():
        return estimator.of_stats(stats, bits, symmetric)
    lo, hi = FACTORS * min(stats.min, 0.0), FACTORS * max(stats.max, 0.0)  # [K]
    scale, zero_point = qparams_from_range(lo, hi, bits, symmetric)
    integrals = _integrals(edges, scale, zero_point, bits, power, room)
    density = np.divide(counts, width, out=np.zeros(width.size), where=width > 0)
    falls = -np.diff(density, prepend=0.0, append=0.0).astype(np.float32)  # [B + 1]
    sums = integrals @ falls  # [K]
    rough = scale.astype(np.float64) ** (power + 1) * sums
    first = int(rough.argmin())
    if sums[first] < LOST_DIGITS * (np.abs(integrals[first]) @ np.abs(falls)):
        return estimator.of_stats(stats, bits, symmetric)
    close = np.flatnonzero(rough <= CLOSE * rough.min())
    grids = scale[close], zero_point[close]
    if close.size == 1:
        return float(lo[close[0]]), float(hi[close[0]])
    best = close[np.argmin(estimator.stats_losses(counts, edges, *grids, bits))]
    return float(lo[best]), float(hi[best])


def _integrals(
    edges: Array, scale: Array, zero_point: Array, bits: int, power: float, room: _Room
) -> Array:
    """Integrals [K, B + 1] of |u - Q(u)|^p from 0 to each edge, in steps of K grids, times p + 1.

    Every step adds 2 / 2^(p + 1), the rest sign(r) |r|^(p + 1): `analysis.quant.grid` in short.
    """
    u, k, rest = room.of(scale.size, edges.size)
    np.multiply.outer(1 / scale, edges.astype(np.float32), out=u)
    low = -zero_point.astype(np.float32)[:, None]
    np.rint(u, out=k)
    np.maximum(k, low, out=k)  # np.clip is slower where its limits are arrays
    np.minimum(k, low + np.float32(2**bits - 1), out=k)
    u -= k
    np.abs(u, out=rest)
    np.power(rest, np.float32(power + 1), out=rest)
    np.copysign(rest, u, out=rest)
    k *= np.float32(0.5**power)
    rest += k
    return rest
