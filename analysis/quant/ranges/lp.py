"""The range with the least mean |x - x_q|^p."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis.errors import UserError
from analysis.quant.grid import mean_bin_error
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.quant.ranges.search import ShrinkSearch
from analysis.records import Array

if TYPE_CHECKING:
    from torch import Tensor


@ESTIMATORS.register("lp")
@dataclass(frozen=True)
class Lp(ShrinkSearch):
    """Least mean |x - x_q|^p over 80 jointly shrunk ranges; p = 2.4 as in Q-Diffusion's code."""

    p: float = 2.4

    def __post_init__(self) -> None:
        if not 0 < self.p <= 100:
            raise UserError(f"p must be above 0 and at most 100; got {self.p:g}")

    def row_losses(self, x: Tensor, x_q: Tensor) -> Tensor:
        return (x - x_q).abs_().pow_(self.p).mean(dim=1)

    def stats_losses(
        self, counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int
    ) -> Array:
        return mean_bin_error(edges, scale, zero_point, bits, self.p) @ counts  # [K]
