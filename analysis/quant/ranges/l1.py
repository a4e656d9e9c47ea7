"""The range with the least mean absolute error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.quant.grid import mean_bin_error
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.quant.ranges.search import ShrinkSearch
from analysis.records import Array

if TYPE_CHECKING:
    from torch import Tensor


@ESTIMATORS.register("l1")
@dataclass(frozen=True)
class L1(ShrinkSearch):
    """Least mean |x - x_q| over 80 jointly shrunk ranges (one of PTQ4DM's four metrics)."""

    def row_losses(self, x: Tensor, x_q: Tensor) -> Tensor:
        return (x - x_q).abs_().mean(dim=1)

    def stats_losses(
        self, counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int
    ) -> Array:
        return mean_bin_error(edges, scale, zero_point, bits, 1.0) @ counts  # [K]
