"""What would b bits do to every layer at once? Predicted from histograms, in one glance.

The numbers are those of `analysis.quant.whatif`, layer by layer; what is new is that a whole
capture takes milliseconds, so that a page can repaint while somebody turns a knob. Only grids per
channel are an estimate: a capture keeps the channels' extremes, not their histograms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from analysis.quant.grid import mean_bin_error, qparams_from_range
from analysis.quant.whatif import sqnr_db
from analysis.range_search import estimate_ranges
from analysis.records import Array, LayerStats

_REMEMBERED = 64  # small arrays: ranges [L, 2], noise [L, T]


class WholeModel:
    """Layers of one capture side by side: edges [L, B + 1], counts [T, B] each."""

    def __init__(self, stats: Sequence[LayerStats]) -> None:
        self.stats = tuple(stats)
        self._known: dict[tuple[str, int, bool], Array] = {}

    @cached_property
    def signal(self) -> Array:
        """Mean square [L, T], exact."""
        return np.array([s.mean**2 + s.std**2 for s in self.stats])

    @cached_property
    def edges(self) -> Array:
        """Bin edges [L, B + 1] cut to the exact extremes; short histograms end in empty bins."""
        most = max((s.histogram.edges.size for s in self.stats), default=0)
        cut = (np.clip(s.histogram.edges, s.total.min, s.total.max) for s in self.stats)
        return np.array([np.pad(e, (0, most - e.size), mode="edge") for e in cut])

    @cached_property
    def _sampled(self) -> Array:
        """Values that the histograms hold [L, T]; 1 where there are none."""
        return np.array([np.maximum(s.histogram.counts.sum(axis=1), 1) for s in self.stats])

    def ranges(self, bits: int, symmetric: bool = False, estimator: str = "minmax") -> Array:
        """The range [L, 2] that an estimator chooses for each layer over all its steps.

        Raises:
            UserError: for an estimator that does not exist.
        """
        return self._remembered(
            (estimator, bits, symmetric),
            lambda: estimate_ranges([s.total for s in self.stats], bits, symmetric, estimator),
        )

    def _remembered(self, key: tuple[str, int, bool], compute: Callable[[], Array]) -> Array:
        found = self._known.get(key)
        if found is None:
            found = compute()
            while len(self._known) >= _REMEMBERED:
                self._known.pop(next(iter(self._known)), None)
            self._known[key] = found
        return found

    def noise(self, ranges: Array, bits: int, symmetric: bool = False) -> Array:
        """Mean squared error [L, T] under one grid a layer, clipped tails included.

        Raises:
            UserError: when a range is not finite or upside down.
        """
        scale, zero_point = qparams_from_range(ranges[:, 0], ranges[:, 1], bits, symmetric)
        return self._expected(mean_bin_error(self.edges, scale, zero_point, bits))

    def channel_noise(self, bits: int, symmetric: bool = False) -> Array:
        """Mean squared error [L, T] under a min-max grid for every channel: an estimate.

        Every value is rounded with each channel's step in turn, and the channels' mean is taken:
        exact where the steps are fine against the values, since rounding then costs step^2 / 12
        whatever the values are. Channels that are always 0 lose nothing.
        """
        return self._remembered(("", bits, symmetric), lambda: self._channel_noise(bits, symmetric))

    def _channel_noise(self, bits: int, symmetric: bool) -> Array:
        top = 2 ** (bits - 1) - 1 if symmetric else 2**bits - 1
        error = np.zeros((len(self.stats), self.edges.shape[1] - 1))
        for row, stats in enumerate(self.stats):
            low = np.minimum(stats.channel_min.min(axis=0), 0.0).astype(np.float64)  # [C]
            high = np.maximum(stats.channel_max.max(axis=0), 0.0).astype(np.float64)
            step = (np.maximum(-low, high) if symmetric else high - low) / top
            error[row] = _rounding(self.edges[row], step[step > 0]) / max(step.size, 1)
        return self._expected(error)

    def _expected(self, error: Array) -> Array:
        """Mean [L, T] of what each bin's values lose, [L, B]."""
        summed = [
            s.histogram.counts @ e[: s.histogram.counts.shape[1]]
            for s, e in zip(self.stats, error, strict=True)
        ]
        return np.array(summed) / self._sampled

    def sqnr_db(self, noise: Array) -> Array:
        """Signal-to-quantization-noise ratio in dB [L, T]; `inf` where nothing is lost."""
        return sqnr_db(self.signal, noise)


def _rounding(edges: Array, step: Array) -> Array:
    """Sum over steps [C] of the mean (u - Q(u))^2 in each bin [B]; no value is clipped."""
    width = np.diff(edges)
    wide = width > 1e-7 * step.min(initial=np.inf)
    integral = np.zeros(edges.size)
    for part in np.array_split(step, -(-step.size // 16) or 1):  # few at once stay in the cache
        # The integral of the error is s^3 (k / 12 + r^3 / 3), as in `analysis.quant.grid`.
        rest = np.multiply.outer(1 / part, edges)
        whole = np.rint(rest)
        rest -= whole
        cube = rest * rest
        cube *= rest
        integral += (part**3 / 12) @ whole + (part**3 / 3) @ cube
    mean = np.maximum(np.diff(integral), 0.0) / np.where(wide, width, 1.0)
    if wide.all():
        return mean
    middle = ((edges[1:] + edges[:-1]) / 2)[~wide]
    away = middle - np.rint(middle / step[:, None]) * step[:, None]
    mean[~wide] = (away**2).sum(axis=0)
    return mean
