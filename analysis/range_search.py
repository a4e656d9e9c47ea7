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
AT_ONCE = 40  # candidates: few enough for the cache, and often the only ones
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
        ends = [_search(chosen, stats, bits, symmetric, power) for stats in tensors]
    return np.array(ends, dtype=np.float64).reshape(-1, 2)


def _power(estimator: object) -> float | None:
    """p, where the estimator's criterion is the mean of |x - x_q|^p."""
    if isinstance(estimator, Lp):
        return estimator.p
    if isinstance(estimator, MSE):
        return 2.0
    return 1.0 if isinstance(estimator, L1) else None


def _search(
    estimator: ShrinkSearch, stats: ActivationStats, bits: int, symmetric: bool, power: float
) -> tuple[float, float]:
    edges = np.clip(stats.histogram.edges, stats.min, stats.max)
    width, counts = np.diff(edges), stats.histogram.counts
    if (counts[width < THIN * stats.histogram.width] > 0).any():
        return estimator.of_stats(stats, bits, symmetric)
    lo, hi = FACTORS * min(stats.min, 0.0), FACTORS * max(stats.max, 0.0)  # [K]
    scale, zero_point = qparams_from_range(lo, hi, bits, symmetric)
    rough = _rough_losses(counts, edges, scale, zero_point, bits, power)
    if rough is None:
        return estimator.of_stats(stats, bits, symmetric)
    close = np.flatnonzero(rough <= CLOSE * rough.min())
    if close.size == 1:
        return float(lo[close[0]]), float(hi[close[0]])
    grids = scale[close], zero_point[close]
    best = close[np.argmin(estimator.stats_losses(counts, edges, *grids, bits))]
    return float(lo[best]), float(hi[best])


def _rough_losses(
    counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int, power: float
) -> Array | None:
    """Summed (p + 1) |x - x_q|^p [K] of ever narrower grids, in single precision.

    Summed by parts: every edge weighs what the density falls by there, times the integral of the
    error up to it. Grids that clip more than the best one loses are not tried: `inf`. `None` where
    so much cancels out that the sums are too uncertain.
    """
    width = np.diff(edges)
    density = np.divide(counts, width, out=np.zeros(width.size), where=width > 0)
    falls = -np.diff(density, prepend=0.0, append=0.0).astype(np.float32)  # [B + 1]
    kept = np.flatnonzero(falls)
    x, falls = edges[kept].astype(np.float32), falls[kept]
    losses, least, certain = np.full(scale.size, np.inf), np.inf, True
    for start in range(0, scale.size, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        s, z = scale[part], zero_point[part]
        if (power + 1) * _clipped(counts, edges, s[0], z[0], bits, power) > CLOSE * least:
            break
        integrals = _integrals(x, s, z, bits, power)
        sums = integrals @ falls
        losses[part] = s.astype(np.float64) ** (power + 1) * sums
        first = int(losses[part].argmin())
        if losses[start + first] < least:
            least = losses[start + first]
            certain = sums[first] > LOST_DIGITS * (np.abs(integrals[first]) @ np.abs(falls))
    return losses if certain else None


def _clipped(
    counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int, power: float
) -> float:
    """At least so much is lost, in sum, by what lies beyond a grid's ends."""
    s, z = float(scale), int(zero_point)
    beyond = np.maximum(edges[:-1] - (2**bits - 1 - z) * s, -z * s - edges[1:])
    outside = np.flatnonzero(beyond > 0)
    return float(counts[outside] @ beyond[outside] ** power)


def _integrals(edges: Array, scale: Array, zero_point: Array, bits: int, power: float) -> Array:
    """Integrals [K, B] of |u - Q(u)|^p from 0 to each edge, in steps of K grids, times p + 1.

    Every step adds 2 / 2^(p + 1), the rest r |r|^p: `analysis.quant.grid` in short.
    """
    u = np.multiply.outer(1 / scale, edges)
    low = -zero_point.astype(np.float32)[:, None]
    k = np.rint(u)
    np.maximum(k, low, out=k)  # np.clip is slower where its limits are arrays
    np.minimum(k, low + np.float32(2**bits - 1), out=k)
    u -= k
    rest = np.abs(u)
    if power != 1:
        np.power(rest, np.float32(power), out=rest)
    rest *= u
    k *= np.float32(0.5**power)
    rest += k
    return rest
