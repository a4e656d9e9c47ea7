"""The whole range: nothing is clipped, and one outlier widens every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.records import ActivationStats

if TYPE_CHECKING:
    from torch import Tensor


@ESTIMATORS.register("minmax")
@dataclass(frozen=True)
class MinMax:
    """Least and greatest value."""

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        return x.amin(dim=1), x.amax(dim=1)

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        return stats.min, stats.max
