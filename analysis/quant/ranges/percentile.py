"""Cut off a fixed share of the values at either end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.records import ActivationStats, Array

if TYPE_CHECKING:
    from torch import Tensor


@ESTIMATORS.register("percentile")
@dataclass(frozen=True)
class Percentile:
    """hi is the given percentile and lo its mirror image, the (100 - percentile)-th.

    A symmetric grid takes the percentile of |x| instead. Values between two ranks are
    interpolated linearly; in a histogram they count as spread evenly over their bin.
    """

    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise UserError(f"percentile must be above 50 and at most 100; got {self.percentile:g}")

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        ordered = (x.abs() if symmetric else x).sort(dim=1).values  # [R, M]
        share = self.percentile / 100
        hi = _quantile(ordered, share)
        return (-hi, hi) if symmetric else (_quantile(ordered, 1 - share), hi)

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        edges = np.clip(stats.histogram.edges, stats.min, stats.max)  # [B + 1]
        below = np.concatenate([[0.0], np.cumsum(stats.histogram.counts, dtype=np.float64)])
        below /= below[-1]  # share of the values below each edge
        share = self.percentile / 100
        if symmetric:
            size = np.unique(np.abs(edges))
            inside = np.interp(size, edges, below) - np.interp(-size, edges, below)
            hi = _first_reaching(size, inside, share)
            return -hi, hi
        # Read from above, the lower end is the same question.
        lo = -_first_reaching(-edges[::-1], 1 - below[::-1], share)
        return lo, _first_reaching(edges, below, share)


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """Quantile [R] of sorted rows [R, M]; torch.quantile stops at 16 million values."""
    position = share * (ordered.shape[1] - 1)
    rank = min(int(position), ordered.shape[1] - 2) if ordered.shape[1] > 1 else 0
    following = min(rank + 1, ordered.shape[1] - 1)
    return ordered[:, rank].lerp(ordered[:, following], position - rank)


def _first_reaching(x: Array, rising: Array, share: float) -> float:
    """Least x at which the rising curve reaches `share`."""
    after = int(np.searchsorted(rising, share - 1e-12).clip(1, len(rising) - 1))
    rise = rising[after] - rising[after - 1]
    part = (share - rising[after - 1]) / rise if rise > 0 else 1.0
    return float(x[after - 1] + (x[after] - x[after - 1]) * min(max(part, 0.0), 1.0))
