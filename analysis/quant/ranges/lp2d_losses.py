"""Mean |x - x_q|^p of a histogram under many grids at once.

0 is a level of every grid, so grids of one scale round alike inside their ranges and differ only
in where they end. The error is therefore a difference of two running sums, taken at the last
levels, plus two tails; and a tail depends on where it begins, not on the scale.
"""

from __future__ import annotations

import numpy as np

from analysis.records import Array

BINS = 2048
MOST = 2**20  # candidates whose sums are held at once


def grid_losses(counts: Array, edges: Array, scale: Array, bits: int, p: float) -> Array:
    """Losses [K, n] of K scales and every zero point 0 .. n - 1, for two-sided histograms."""
    edges, counts = evenly(counts, edges)
    parts = max(1, len(scale) * 2**bits // MOST)
    upper, lower = Tail(counts, edges, p), Tail(counts[::-1], -edges[::-1], p)
    zero_point = np.arange(2**bits)
    top = 2**bits - 1
    losses = []
    for s in np.array_split(scale, parts):
        inside = sums_up_to_levels(counts, edges, s, top, p)  # [K, 2n - 1], levels -top .. top
        tails = upper(np.outer(s, top - zero_point)) + lower(np.outer(s, zero_point))
        losses.append(inside[:, 2 * top - zero_point] - inside[:, top - zero_point] + tails)
    return np.concatenate(losses) / counts.sum()


def evenly(counts: Array, edges: Array) -> tuple[Array, Array]:
    """The histogram on even bins between its ends, which were cut to the exact extremes."""
    running = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    even = np.linspace(edges[0], edges[-1], BINS + 1)
    # What sits exactly on an end belongs to the bin inside.
    inner = np.interp(even[1:-1], edges, running)
    return even, np.diff(inner, prepend=0.0, append=running[-1])


def sums_up_to_levels(counts: Array, edges: Array, scale: Array, top: int, p: float) -> Array:
    """Summed |u - Q(u)|^p [K, 2 top + 1] of values below level * scale, on endless grids."""
    density = counts / np.diff(edges)
    integral = _integral(edges, scale, p)  # [K, B + 1]
    running = np.zeros_like(integral)
    np.cumsum(np.diff(integral, axis=1) * density, axis=1, out=running[:, 1:])
    x = np.outer(scale, np.arange(-top, top + 1)).clip(edges[0], edges[-1])
    width = edges[1] - edges[0]
    at = ((x - edges[0]) / width).astype(np.int64).clip(0, len(counts) - 1)
    within = _integral(x, scale, p) - np.take_along_axis(integral, at, axis=1)
    return np.take_along_axis(running, at, axis=1) + density[at] * within


def _integral(x: Array, scale: Array, p: float) -> Array:
    """Integral from 0 to x of |u - Q(u)|^p, [K, ...], as in `analysis.quant.grid`, unclipped."""
    s = scale[:, None]
    steps = np.rint(x / s)
    rest = x - steps * s
    size = np.abs(rest)
    power = size**3 if p == 2 else size ** (p + 1)
    return (steps * 2 * (s / 2) ** (p + 1) + np.copysign(power, rest)) / (p + 1)


class Tail:
    """T(h), the summed (u - h)^p of the values u above h: cubic between even edges.

    T and its slope at the edges are correlations of the density with the kernels
    ((m + 1)^(p + 1) - m^(p + 1)) and ((m + 1)^p - m^p).
    """

    def __init__(self, counts: Array, edges: Array, p: float) -> None:
        self.edges, self.width = edges, edges[1] - edges[0]
        m = np.arange(len(counts) + 1, dtype=np.float64)
        share = counts / self.width
        self.value = self._above(share, np.diff(m ** (p + 1))) * self.width ** (p + 1) / (p + 1)
        self.slope = -self._above(share, np.diff(m**p)) * self.width**p

    def __call__(self, h: Array) -> Array:
        """T at h, which must not lie below the first edge."""
        place = np.minimum((h - self.edges[0]) / self.width, len(self.edges) - 1)
        at = np.minimum(place.astype(np.int64), len(self.edges) - 2)
        u = place - at
        v = 1 - u
        ends = self.value[at] * (1 + 2 * u) * v**2 + self.value[at + 1] * (3 - 2 * u) * u**2
        return ends + self.width * u * v * (self.slope[at] * v - self.slope[at + 1] * u)

    @staticmethod
    def _above(density: Array, kernel: Array) -> Array:
        """Sum over m of density[j + m] kernel[m], for j = 0 .. B."""
        found = np.convolve(density[::-1], kernel)[: len(density)][::-1]
        return np.concatenate([found, [0.0]])
