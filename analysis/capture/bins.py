"""A histogram whose range may grow: bins double in width and merge, so no value is seen twice.

Every bin edge is a whole multiple of a power of two. Doubling such bins merges neighbours
exactly, and histograms of different widths can be added without error.
"""

from __future__ import annotations

import math

import numpy as np

from analysis.errors import check_whole
from analysis.records import Array, Histogram

FEWEST = 4  # bins that can still double
SMALLEST_EXPONENT = -60  # a bin of 1e-18: narrower spans count as one value


class DyadicBins:
    """Counts [T, B] of T steps over B shared bins of width 2**exponent."""

    def __init__(self, steps: int, bins: int = 512) -> None:
        check_whole("bins", bins, FEWEST)
        self.counts = np.zeros((steps, bins), dtype=np.uint32)
        self.exponent: int | None = None  # None until the first value is seen
        self.start = 0  # position of the first edge, in bin widths
        self.reach: tuple[float, float] = (math.inf, -math.inf)  # of all bins
        self._seen: tuple[float, float] = (math.inf, -math.inf)

    def cover(self, low: float, high: float, rows: int | None = None) -> None:
        """Widen the bins until they hold [low, high] and all that was told before.

        Args:
            rows: steps from the first on that may hold counts; `None` for all.
        """
        self._seen = low, high = min(self._seen[0], low), max(self._seen[1], high)
        if self.reach[0] <= low and high < self.reach[1]:
            return
        bins = self.counts.shape[1]
        if self.exponent is None:
            self.exponent = _fitting_exponent(low, high, bins)
            self.start = _middle(low, high, self.exponent, bins)
        else:
            self._widen(low, high, self.counts[:rows])
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

    def _widen(self, low: float, high: float, counts: Array) -> None:
        """Double until the range fits with room to spare, then slide it to the middle."""
        assert self.exponent is not None
        bins = self.counts.shape[1]
        exponent = max(self.exponent, _fitting_exponent(low, high, bins))
        while self.exponent < exponent:
            self._double(counts)
        self._move(counts, _middle(low, high, exponent, bins))

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


def _middle(low: float, high: float, exponent: int, bins: int) -> int:
    """Where bins begin that leave as much free below as above."""
    first, last = _cells(low, high, exponent)
    return first - (bins - (last - first + 1)) // 2


def _fitting_exponent(low: float, high: float, bins: int) -> int:
    """The narrowest bins that hold [low, high] with an eighth of them to spare."""
    span = max(high - low, max(abs(low), abs(high)) * 2.0**-20)
    exponent = SMALLEST_EXPONENT
    if span > 0:
        exponent = max(exponent, math.frexp(span / (bins * 7 / 8))[1])
    while _cells(low, high, exponent)[1] - _cells(low, high, exponent)[0] + 1 > bins:
        exponent += 1
    return exponent
