"""Growing tables of a layer over T timesteps."""

from __future__ import annotations

import math

import numpy as np

from analysis.capture.bins import DyadicBins
from analysis.capture.native import CColumns
from analysis.capture.summary import HostSummary
from analysis.records import LayerStats


class LayerColumns:
    """Running statistics of one layer over T timesteps."""

    def __init__(self, steps: int, bins: int, channels: int) -> None:
        self.count = np.zeros(steps, dtype=np.int64)
        self.mean = np.zeros(steps)
        self.m2 = np.zeros(steps)
        self.channel_min = np.full((steps, channels), np.inf, dtype=np.float32)
        self.channel_max = np.full((steps, channels), -np.inf, dtype=np.float32)
        self.bins = DyadicBins(steps, bins)
        self.native = CColumns(
            count=self.count.ctypes.data,
            mean=self.mean.ctypes.data,
            m2=self.m2.ctypes.data,
            low=self.channel_min.ctypes.data,
            high=self.channel_max.ctypes.data,
            steps=steps,
            channels=channels,
            bins=bins,
            counts=self.bins.counts.ctypes.data,
            least=math.inf,
            greatest=-math.inf,
        )

    def add(self, step: int, row: HostSummary) -> None:
        """Merge one tensor's summary (Chan, Golub & LeVeque 1979, pairwise update)."""
        assert not self.native.begun, "the kernel has taken in this layer so far"
        before = int(self.count[step])
        if before:
            total = before + row.count
            shift = row.mean - self.mean[step]
            self.m2[step] += row.m2 + shift**2 * before * row.count / total
            self.mean[step] += shift * row.count / total
            self.count[step] = total
            np.minimum(self.channel_min[step], row.low, out=self.channel_min[step])
            np.maximum(self.channel_max[step], row.high, out=self.channel_max[step])
        else:
            self.count[step], self.mean[step], self.m2[step] = row.count, row.mean, row.m2
            self.channel_min[step], self.channel_max[step] = row.low, row.high
        self.bins.cover(row.least, row.greatest, int(self.count.nonzero()[0][-1]) + 1)
        self.bins.add(step, row.values)

    def stats(self) -> LayerStats:
        """The finished columns."""
        if self.native.begun:  # the kernel has widened the bins
            self.bins.exponent, self.bins.start = self.native.exponent, int(self.native.start)
        return LayerStats(
            count=self.count,
            min=self.channel_min.min(axis=1).astype(np.float64),
            max=self.channel_max.max(axis=1).astype(np.float64),
            mean=self.mean,
            std=np.sqrt(self.m2 / self.count),
            histogram=self.bins.histogram(),
            channel_min=self.channel_min,
            channel_max=self.channel_max,
        )
