"""EDA-DM's search over range widths and zero points, on a histogram in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import UserError
from analysis.quant.grid import mean_bin_error, qparams_from_range
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.quant.ranges.lp2d_losses import grid_losses
from analysis.quant.ranges.rows import row_stats
from analysis.records import ActivationStats, Array

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = np.arange(1, 101) / 100  # shares of the data's width
FINALISTS = 8  # of the histogram's candidates that are tried on the tensor itself
LONG_ROW = 2**14


@ESTIMATORS.register("lp2d")
@dataclass(frozen=True)
class Lp2d:
    """Least mean |x - x_q|^p over 100 widths x every zero point; p = 2.4 as released.

    One-sided data, and symmetric grids, search the width only. Released code quantizes the
    tensor once for each of the 100 * 2^bits candidates; here all of them are ranked at once on
    a histogram, and on a tensor the best few are then tried.
    """

    p: float = 2.4

    def __post_init__(self) -> None:
        if not 0 < self.p <= 100:
            raise UserError(f"p must be above 0 and at most 100; got {self.p:g}")

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        import torch

        from analysis.quant.primitives import fake_quantize, tensor_qparams

        bins = 2048 if x.shape[1] >= LONG_ROW else 512
        rows = [self._finalists(row_stats(row, bins), bits, symmetric, FINALISTS) for row in x]
        ends = x.new_tensor(np.stack(rows))  # [R, F, 2]
        losses = []
        for lo, hi in ends.permute(1, 2, 0):  # [R] each
            x_q = fake_quantize(x, *tensor_qparams(lo, hi, bits, symmetric), bits)
            losses.append((x - x_q).abs_().pow_(self.p).mean(dim=1))
        best = torch.stack(losses).argmin(dim=0)  # [R]
        chosen = ends[torch.arange(len(x), device=x.device), best]  # [R, 2]
        return chosen[:, 0], chosen[:, 1]

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        lo, hi = self._finalists(stats, bits, symmetric, 1)[0]
        return float(lo), float(hi)

    def _finalists(self, stats: ActivationStats, bits: int, symmetric: bool, number: int) -> Array:
        """The best ranges [number, 2], best first."""
        edges = np.clip(stats.histogram.edges, stats.min, stats.max)
        counts = stats.histogram.counts
        if stats.min >= 0 or stats.max <= 0 or symmetric:
            ends = _widths_only(stats, symmetric)  # [100, 2]
            scale, zero_point = qparams_from_range(ends[:, 0], ends[:, 1], bits, symmetric)
            losses = mean_bin_error(edges, scale, zero_point, bits, self.p) @ counts
            return ends[np.argsort(losses, kind="stable")[:number]]
        top = 2**bits - 1
        scale = (stats.max - stats.min) * WIDTHS / top
        losses = grid_losses(counts, edges, scale, bits, self.p)  # [100, n]
        part = np.argpartition(losses.ravel(), number)[:number]
        best = part[np.argsort(losses.ravel()[part], kind="stable")]
        width, zero_point = np.unravel_index(best, losses.shape)
        return np.stack([-zero_point * scale[width], (top - zero_point) * scale[width]], axis=1)


def _widths_only(stats: ActivationStats, symmetric: bool) -> Array:
    """Ranges [100, 2] that start at 0, or with `symmetric` lie around it; the widest first."""
    size = max(abs(stats.min), abs(stats.max)) * WIDTHS[::-1]
    low = -size if symmetric or stats.max <= 0 else 0 * size
    high = size if symmetric or stats.min >= 0 else 0 * size
    return np.stack([low, high], axis=1)
