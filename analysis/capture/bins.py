"""A histogram whose range may grow: bins double in width and merge, so no value is seen twice.

Every bin edge is a whole multiple of a power of two. Doubling such bins merges neighbours
exactly, and histograms of different widths can be added without error.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.errors import UserError
from analysis.records import Array, Histogram

SMALLEST_EXPONENT = -60  # a bin of 1e-18: narrower spans count as one value


def check_bins(bins: int) -> None:
    """`UserError` for a number of bins that cannot double."""
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 4:
        raise UserError(f"bins must be a whole number of 4 or more; got {bins}.")


class DyadicBins:
    """Counts [T, B] of T steps over B shared bins of width 2**exponent."""

    def __init__(self, steps: int, bins: int = 512) -> None:
        check_bins(bins)
        self.counts = np.zeros((steps, bins), dtype=np.uint32)
        self.exponent: int | None = None  # None until the first value is seen
        self.start = 0  # position of the first edge, in bin widths
        self.reach: tuple[float, float] = (math.inf, -math.inf)  # of all bins

    def cover(self, low: float, high: float, rows: int | None = None) -> None:
        """Widen the bins by doubling until [low, high] lies inside them.

        Args:
            rows: steps from the first on that may hold counts; `None` for all.
        """
        if self.reach[0] <= low and high < self.reach[1]:
            return
        bins = self.counts.shape[1]
        if self.exponent is None:
            self.exponent = _fitting_exponent(low, high, bins)
            first, last = _cells(low, high, self.exponent)
            self.start = first - (bins - (last - first + 1)) // 2
        else:
            self._widen(low, high, rows)
        edges = self.start, self.start + bins
        self.reach = math.ldexp(edges[0], self.exponent), math.ldexp(edges[1], self.exponent)

    def add(self, step: int, values: Array) -> None:
        """Count values, which must lie inside what `cover` was told."""
        assert self.exponent is not None, "cover() comes first"
        # In double precision every step of this is exact, however far from zero the bins lie.
        cells = np.multiply(values, math.ldexp(1.0, -self.exponent), dtype=np.float64)
        np.floor(cells, out=cells)
        cells -= self.start
        self.counts[step] += np.bincount(
            cells.astype(np.intp), minlength=self.counts.shape[1]
        ).astype(np.uint32)

    def histogram(self) -> Histogram:
        """Counts in the narrowest integer type that holds them, with the edges of the bins."""
        bins = self.counts.shape[1]
        exponent = self.exponent if self.exponent is not None else 0
        edges = np.ldexp(np.arange(self.start, self.start + bins + 1, dtype=np.float64), exponent)
        return Histogram(self.counts.astype(np.min_scalar_type(int(self.counts.max()))), edges)

    def _widen(self, low: float, high: float, rows: int | None) -> None:
        """Double until the new range and all bins in use fit in, then slide if that takes it."""
        assert self.exponent is not None
        bins, counts = self.counts.shape[1], self.counts[:rows]
        used = np.flatnonzero(counts.any(axis=0))
        ends = (int(used[0]), int(used[-1])) if used.size else None
        while True:
            first, last = _cells(low, high, self.exponent)
            if self.start <= first and last < self.start + bins:
                return
            if ends:
                first, last = min(first, self.start + ends[0]), max(last, self.start + ends[1])
            if last - first + 1 <= bins:
                self._move(counts, first - (bins - (last - first + 1)) // 2)
                return
            if ends:
                ends = (ends[0] + (self.start & 1)) >> 1, (ends[1] + (self.start & 1)) >> 1
            self._double(counts)

    def _move(self, counts: Array, start: int) -> None:
        bins = counts.shape[1]
        shift = self.start - start
        source = counts[:, max(0, -shift) : bins - max(0, shift)].copy()
        counts.fill(0)
        counts[:, max(0, shift) : bins - max(0, -shift)] = source
        self.start = start

    def _double(self, counts: Array) -> None:
        """Bins 2k and 2k + 1, counted from zero, become bin k."""
        assert self.exponent is not None
        odd = self.start & 1
        left, right = counts[:, odd::2].copy(), counts[:, 1 - odd :: 2].copy()
        counts.fill(0)
        counts[:, odd : odd + left.shape[1]] = left
        counts[:, : right.shape[1]] += right
        self.start, self.exponent = self.start >> 1, self.exponent + 1


def _cells(low: float, high: float, exponent: int) -> tuple[int, int]:
    return math.floor(math.ldexp(low, -exponent)), math.floor(math.ldexp(high, -exponent))


def _fitting_exponent(low: float, high: float, bins: int) -> int:
    """The narrowest bins that hold [low, high] with an eighth of them to spare."""
    span = max(high - low, max(abs(low), abs(high)) * 2.0**-20)
    exponent = SMALLEST_EXPONENT
    if span > 0:
        exponent = max(exponent, math.frexp(span / (bins * 7 / 8))[1] - 1)
    while _cells(low, high, exponent)[1] - _cells(low, high, exponent)[0] + 1 > bins:
        exponent += 1
    return exponent
