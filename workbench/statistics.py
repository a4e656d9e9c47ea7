"""What a heatmap can be coloured by: one number per layer and timestep, with its unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analysis.quant.whatif import predict_sqnr_db
from analysis.records import ActivationStats, Array, LayerStats
from workbench.whatif import Grid, range_of

OUTLIER_STDS = 3.0
Compute = Callable[[LayerStats, Grid], Array]


@dataclass(frozen=True)
class Statistic:
    """A named number of one layer at every timestep."""

    name: str
    title: str
    unit: str
    explanation: str
    compute: Compute  # (statistics, grid) -> [T]
    log: bool = False  # colours follow the logarithm
    uses_grid: bool = False
    reverse: bool = False  # small is bad


def absolute_maximum(stats: LayerStats, grid: Grid) -> Array:
    """Largest |x| [T]."""
    return np.maximum(np.abs(stats.min), np.abs(stats.max))


def standard_deviation(stats: LayerStats, grid: Grid) -> Array:
    """Population standard deviation [T]."""
    return stats.std


def range_drift(stats: LayerStats, grid: Grid) -> Array:
    """log2 of the range over all timesteps by the range of each [T]: bits left unused."""
    width = np.maximum(stats.max, 0) - np.minimum(stats.min, 0)
    whole = max(stats.total.max, 0.0) - min(stats.total.min, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(width > 0, np.log2(whole / np.where(width > 0, width, 1)), np.nan)


def outlier_share(stats: LayerStats, grid: Grid) -> Array:
    """Percent of values further than three standard deviations from the mean [T]."""
    counts, edges = stats.histogram.counts, stats.histogram.edges
    low = (stats.mean - OUTLIER_STDS * stats.std)[:, None]
    high = (stats.mean + OUTLIER_STDS * stats.std)[:, None]
    width = np.diff(edges)
    inside = np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) / width
    total = np.maximum(counts.sum(axis=1), 1)
    return np.clip(100 * (1 - (counts * inside).sum(axis=1) / total), 0, 100)


def kurtosis(stats: LayerStats, grid: Grid) -> Array:
    """Fourth standardized moment [T] from the histogram: 3 for a normal distribution."""
    counts = stats.histogram.counts
    total = np.maximum(counts.sum(axis=1), 1)[:, None]
    centred = stats.histogram.centers - stats.mean[:, None]  # [T, B]
    share = counts / total
    variance, fourth = (share * centred**2).sum(axis=1), (share * centred**4).sum(axis=1)
    varies = stats.std > 0
    return np.where(varies, fourth / np.where(varies, variance, 1) ** 2, np.nan)


def predicted_sqnr(stats: LayerStats, grid: Grid) -> Array:
    """Signal-to-quantization-noise ratio in dB [T], one grid for all timesteps and channels."""
    clip = range_of(stats.total, grid)
    return predict_sqnr_db(stats, grid.bits, grid.symmetric, grid.estimator, clip)


STATISTICS = {
    item.name: item
    for item in (
        Statistic(
            "drift",
            "Range drift over time",
            "bits unused",
            "One grid must hold the values of all timesteps. Bright cells use only a part of it: "
            "at 1 bit half of the grid lies idle at that timestep, at 2 bits three quarters.",
            range_drift,
        ),
        Statistic(
            "absmax",
            "Absolute maximum",
            "activation units",
            "The largest value a layer receives decides how wide its grid must be. Follow a row: "
            "where its colour changes, the range moves with the timestep.",
            absolute_maximum,
            log=True,
        ),
        Statistic(
            "std",
            "Standard deviation",
            "activation units",
            "How widely most values spread. A layer whose maximum is bright here too is simply "
            "large; bright maximum and dark spread means outliers.",
            standard_deviation,
            log=True,
        ),
        Statistic(
            "outliers",
            "Outlier share",
            "% beyond 3 standard deviations",
            "Outliers stretch the grid for everybody else. A normal distribution has 0.27 %.",
            outlier_share,
        ),
        Statistic(
            "kurtosis",
            "Tail weight (kurtosis)",
            "1; normal = 3",
            "Heavy tails mean that few values sit far out: clipping them costs little and makes "
            "the grid finer for all others.",
            kurtosis,
            log=True,
        ),
        Statistic(
            "sqnr",
            "Predicted SQNR",
            "dB",
            "How much louder the signal is than the rounding noise, under the grid set below, one "
            "for all timesteps. Dark is bad: at 0 dB the noise is as loud as the signal. 6 dB are "
            "one bit.",
            predicted_sqnr,
            uses_grid=True,
            reverse=True,
        ),
    )
}
DEFAULT_STATISTIC = "drift"


def quantiles(stats: ActivationStats | LayerStats, shares: Array) -> Array:
    """Quantiles [Q], or [T, Q] of all timesteps, read off the histogram [..., B].

    Values count as spread evenly in their bin, but none lies beyond the extremes, which are exact.
    """
    counts, edges = stats.histogram.counts, stats.histogram.edges
    rows = counts.reshape(-1, counts.shape[-1]).astype(np.float64)
    below = np.concatenate([np.zeros((len(rows), 1)), rows.cumsum(axis=1)], axis=1)
    below /= np.maximum(below[:, -1:], 1)
    out = np.array([_crossings(row, edges, shares) for row in below])
    least, greatest = (np.asarray(end)[..., None] for end in (stats.min, stats.max))
    return out.reshape(*counts.shape[:-1], len(shares)).clip(least, greatest)


def _crossings(below: Array, edges: Array, shares: Array) -> Array:
    rises = np.diff(below) > 0
    if not rises.any():
        return np.full(len(shares), np.nan)
    # Only the borders of bins that hold something: np.interp wants each height once.
    used = np.concatenate([[False], rises]) | np.concatenate([rises, [False]])
    return np.interp(shares, below[used], edges[used])
