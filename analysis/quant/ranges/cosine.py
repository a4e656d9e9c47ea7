"""The range that turns the tensor, seen as one long vector, the least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.quant.grid import mean_bin_error, steps_from_zero
from analysis.quant.ranges.estimator import ESTIMATORS
from analysis.quant.ranges.search import ShrinkSearch
from analysis.records import Array

if TYPE_CHECKING:
    from torch import Tensor

NO_LOSS = 1e-12  # below it, differences are rounding


@ESTIMATORS.register("cosine")
@dataclass(frozen=True)
class Cosine(ShrinkSearch):
    """Greatest cosine of x and x_q over 80 jointly shrunk ranges (one of PTQ4DM's four metrics).

    The loss is the squared sine, (|x|^2 |e|^2 - (x e)^2) / (|x|^2 |x_q|^2) with e = x_q - x: it
    ranks as 1 - cosine does, and keeps its digits where the cosine is all but 1.
    """

    def row_losses(self, x: Tensor, x_q: Tensor) -> Tensor:
        import torch

        e = x_q - x
        pairs = ((x, x), (e, e), (x, e), (x_q, x_q))
        sums = [(a * b).sum(dim=1, dtype=torch.float64).cpu().numpy() for a, b in pairs]
        return torch.from_numpy(_squared_sine(*sums)).to(x.device, x.dtype)

    def stats_losses(
        self, counts: Array, edges: Array, scale: Array, zero_point: Array, bits: int
    ) -> Array:
        signal = float(_mean_square(edges) @ counts)
        noise = mean_bin_error(edges, scale, zero_point, bits) @ counts  # [K]
        quantized = mean_bin_power(edges, scale, zero_point, bits) @ counts
        return _squared_sine(signal, noise, (quantized - signal - noise) / 2, quantized)


def mean_bin_power(edges: Array, scale: Array, zero_point: Array, bits: int) -> Array:
    """Mean of Q(u)^2 over each bin [K, B] of edges [B + 1], values spread evenly, K grids.

    H(x), the integral of Q^2 from 0 to x, is odd: k whole cells below |x| add
    scale^3 (1 + 4 + ... + (k - 1)^2), the last one k^2 scale^2 (|x| - (k - 1/2) scale).
    """
    s = np.asarray(scale, dtype=np.float64)[:, None]
    z = np.asarray(zero_point, dtype=np.float64)[:, None]
    k = np.abs(steps_from_zero(edges, s, z, bits))  # [K, B + 1]
    cells = s**3 * (k - 1) * k * (2 * k - 1) / 6
    integral = np.sign(edges) * (cells + k**2 * s**2 * (np.abs(edges) - (k - 0.5) * s))
    width = np.diff(edges)
    wide = width > 1e-7 * s
    middle = (edges[1:] + edges[:-1]) / 2
    point = (steps_from_zero(middle, s, z, bits) * s) ** 2
    return np.where(wide, np.diff(integral, axis=1) / np.where(wide, width, 1.0), point)


def _mean_square(edges: Array) -> Array:
    """Mean of u^2 over each bin [B], values spread evenly."""
    low, high = edges[:-1], edges[1:]
    return (low**2 + low * high + high**2) / 3


def _squared_sine(xx: Array | float, ee: Array, xe: Array, qq: Array) -> Array:
    whole = np.asarray(xx * qq)
    rest = np.maximum(xx * ee - xe**2, 0.0)
    # A tensor of zeros loses nothing; one that became zeros has lost its direction.
    sine = np.divide(
        rest, whole, out=np.where(np.asarray(xx) > 0, 1.0, 0.0) + 0 * whole, where=whole > 0
    )
    return np.maximum(sine, NO_LOSS)
