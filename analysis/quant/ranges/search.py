"""Search over jointly shrunk ranges: what a criterion has to say is only how bad a range is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from analysis.quant.grid import qparams_from_range
from analysis.records import ActivationStats, Array

if TYPE_CHECKING:
    from torch import Tensor

FACTORS = 1.0 - 0.01 * np.arange(80)  # 1.00, 0.99 ... 0.21; of equals the widest wins


class ShrinkSearch(ABC):
    """Tries factor * [min, max] and keeps the candidate with the least loss."""

    @abstractmethod
    def row_losses(self, x: Tensor, x_q: Tensor) -> Tensor:
        """Losses [R] of rows x [R, M] that were quantized to x_q."""

    @abstractmethod
    def stats_losses(
        self, counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int
    ) -> Array:
        """Losses [K] of K grids on one histogram, counts [B] over edges [B + 1]."""

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        """lo and hi [R] for the rows of x [R, M]."""
        import torch

        from analysis.quant.primitives import fake_quantize, tensor_qparams

        lo, hi = x.amin(dim=1), x.amax(dim=1)  # [R]
        best, factor = torch.full_like(lo, torch.inf), torch.ones_like(lo)
        for candidate in FACTORS.tolist():
            grid = tensor_qparams(lo * candidate, hi * candidate, bits, symmetric)
            loss = self.row_losses(x, fake_quantize(x, *grid, bits))
            factor = torch.where(loss < best, candidate, factor)
            best = torch.minimum(loss, best)
        return lo * factor, hi * factor

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        """lo and hi for one tensor known by its histogram."""
        return shrink_by_stats(stats, bits, symmetric, self.stats_losses)


def shrink_by_stats(
    stats: ActivationStats, bits: int, symmetric: bool, losses: Callable[..., Array]
) -> tuple[float, float]:
    """The candidate range with the least loss, by `losses` as `ShrinkSearch.stats_losses`."""
    lo, hi = FACTORS * min(stats.min, 0.0), FACTORS * max(stats.max, 0.0)  # [K]
    scale, zero_point = qparams_from_range(lo, hi, bits, symmetric)
    edges = np.clip(stats.histogram.edges, stats.min, stats.max)
    best = int(np.argmin(losses(stats.histogram.counts, edges, scale, zero_point, bits)))
    return float(lo[best]), float(hi[best])
