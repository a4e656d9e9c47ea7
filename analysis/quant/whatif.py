"""What would b bits do? Predicted from histograms alone: no model, no torch, milliseconds.

Values count as spread evenly within their bin, and the squared error of rounding is integrated
over every bin in closed form (`analysis.quant.grid.error_integral`). How close this comes to
the error of the tensor itself is measured in docs/quantization.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UserError
from analysis.quant.grid import mean_bin_error, qparams_from_range
from analysis.quant.ranges import get_estimator
from analysis.quant.scheme import FLOAT_BITS, QuantScheme
from analysis.records import ActivationStats, Array, LayerStats

__all__ = [
    "error_parts",
    "estimate_range",
    "noise_power",
    "predict_sqnr_db",
    "qparams_from_range",
    "sqnr_db",
]


def noise_power(
    counts: Array, edges: Array, scale: ArrayLike, zero_point: ArrayLike, bits: int
) -> Array:
    """Mean squared error [...] of quantizing what histograms hold, clipped tails included.

    Args:
        counts: [..., B]; a histogram without counts has no error, 0.
        edges: [B + 1], or [..., B + 1] where the histograms differ in their bins.
        scale, zero_point: one grid for all, or [...] as `edges` has them.
    """
    error = mean_bin_error(edges, np.asarray(scale), np.asarray(zero_point), bits)  # [..., B]
    return _mean_over_bins(counts, error)


def error_parts(
    counts: Array, edges: Array, scale: ArrayLike, zero_point: ArrayLike, bits: int
) -> tuple[Array, Array]:
    """The mean squared error [...] as two summands: of rounding and of clipping.

    A value is clipped when it lies more than half a step beyond the last level; all of its
    error then counts as clipping. Arguments as for `noise_power`.
    """
    s, z = np.asarray(scale, dtype=np.float64), np.asarray(zero_point, dtype=np.float64)
    first, last = (-z - 0.5) * s, (2**bits - 1 - z + 0.5) * s
    inside = np.clip(edges, first[..., None], last[..., None])  # [..., B + 1]
    width, kept = np.diff(edges, axis=-1), np.diff(inside, axis=-1)  # [..., B]
    middle = (edges[..., 1:] + edges[..., :-1]) / 2
    within = (first[..., None] <= middle) & (middle <= last[..., None])
    share = np.where(width > 0, kept / np.where(width > 0, width, 1.0), within)
    rounding = _mean_over_bins(counts, share * mean_bin_error(inside, s, z, bits))
    total = noise_power(counts, edges, scale, zero_point, bits)
    return rounding, np.maximum(total - rounding, 0.0)


def estimate_range(
    stats: ActivationStats, bits: int, symmetric: bool = False, estimator: str = "minmax"
) -> tuple[float, float]:
    """The range (lo, hi) that an estimator chooses for a tensor, in the tensor's units."""
    return get_estimator(estimator).of_stats(stats, bits, symmetric)


def predict_sqnr_db(
    stats: LayerStats | ActivationStats,
    bits: int,
    symmetric: bool = False,
    estimator: str = "minmax",
    clip: tuple[float, float] | None = None,
) -> Array:
    """Signal-to-quantization-noise ratio in dB: [T] of a layer's steps, [] of one tensor.

    One grid serves all steps, as it does in a quantized model: its range comes from the steps
    together, or is `clip` where that is given. Signal power is mean^2 + std^2, exact.
    `inf` where nothing is lost.

    Raises:
        UserError: for bits or an estimator that do not exist, or a range upside down.
    """
    QuantScheme(bits, symmetric, estimator=estimator)
    total = stats.total if isinstance(stats, LayerStats) else stats
    signal = np.asarray(stats.mean) ** 2 + np.asarray(stats.std) ** 2  # [T] or []
    if bits == FLOAT_BITS:
        return np.full(signal.shape, np.inf)
    lo, hi = clip if clip is not None else estimate_range(total, bits, symmetric, estimator)
    scale, zero_point = qparams_from_range(lo, hi, bits, symmetric)
    # The exact extremes are narrower than the bins that hold them.
    edges = np.clip(stats.histogram.edges, total.min, total.max)
    return sqnr_db(signal, noise_power(stats.histogram.counts, edges, scale, zero_point, bits))


def sqnr_db(signal: ArrayLike, noise: ArrayLike) -> Array:
    """10 log10(signal / noise); `inf` where there is no noise, `-inf` where only noise."""
    power, error = np.asarray(signal, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    if (power < 0).any() or (error < 0).any():
        raise UserError("powers must not be negative")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error == 0, np.inf, 10 * np.log10(power / error))


def _mean_over_bins(counts: Array, error: Array) -> Array:
    joint = "...b,b->..." if error.ndim == 1 else "...b,...b->..."
    return np.einsum(joint, counts, error) / np.maximum(counts.sum(axis=-1), 1)
