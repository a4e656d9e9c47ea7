"""Growing tables of many layers over T timesteps, merged one forward pass at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.capture.bins import DyadicBins
from analysis.capture.summary import Summary
from analysis.records import Array, LayerStats


class LayerColumns:
    """Running statistics of one layer over T timesteps."""

    def __init__(self, steps: int, bins: int, channels: int) -> None:
        self.count = np.zeros(steps, dtype=np.int64)
        self.mean = np.zeros(steps)
        self.m2 = np.zeros(steps)
        self.channel_min = np.full((steps, channels), np.inf, dtype=np.float32)
        self.channel_max = np.full((steps, channels), -np.inf, dtype=np.float32)
        self.bins = DyadicBins(steps, bins)

    def add_moments(self, step: int, count: int, mean: float, m2: float) -> None:
        """Merge one tensor's moments (Chan, Golub & LeVeque 1979, pairwise update)."""
        total = int(self.count[step]) + count
        shift = mean - self.mean[step]
        self.m2[step] += m2 + shift**2 * self.count[step] * count / total
        self.mean[step] += shift * count / total
        self.count[step] = total

    def add_extremes(self, step: int, low: Array, high: Array) -> None:
        """Merge one tensor's per-channel extremes [C]."""
        np.minimum(self.channel_min[step], low, out=self.channel_min[step])
        np.maximum(self.channel_max[step], high, out=self.channel_max[step])

    def stats(self) -> LayerStats:
        """The finished columns."""
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


@dataclass(frozen=True)
class HostBatch:
    """Summaries of several tensors of one pass, brought to the host in five transfers."""

    counts: list[int]
    mean: Array  # [L]
    m2: Array  # [L]
    low: Array  # [sum of C]
    high: Array  # [sum of C]
    channels: Array  # [L + 1] where each tensor's channels begin
    values: Array  # [sum of n]
    drawn: Array  # [L] how many values each tensor gave


def to_host(summaries: Sequence[Summary]) -> HostBatch:
    """Wait for the device once, for all tensors together."""

    def joined(parts: list[torch.Tensor]) -> Array:
        return torch.cat(parts).cpu().numpy()

    widths = [s.channel_min.numel() for s in summaries]
    return HostBatch(
        counts=[s.count for s in summaries],
        mean=joined([s.mean.view(1) for s in summaries]).astype(np.float64),
        m2=joined([s.m2.view(1) for s in summaries]).astype(np.float64),
        low=joined([s.channel_min for s in summaries]),
        high=joined([s.channel_max for s in summaries]),
        channels=np.concatenate([[0], np.cumsum(widths)]),
        values=joined([s.values for s in summaries]),
        drawn=np.array([s.values.numel() for s in summaries]),
    )


def merge(columns: Sequence[LayerColumns], step: int, batch: HostBatch) -> None:
    """Add a batch of different layers' summaries to their columns."""
    ends = batch.channels.tolist()
    lows = np.minimum.reduceat(batch.low, batch.channels[:-1]).tolist()
    highs = np.maximum.reduceat(batch.high, batch.channels[:-1]).tolist()
    for i, column in enumerate(columns):
        column.add_moments(step, batch.counts[i], float(batch.mean[i]), float(batch.m2[i]))
        part = slice(ends[i], ends[i + 1])
        column.add_extremes(step, batch.low[part], batch.high[part])
        reach = column.bins.reach
        if not (reach[0] <= lows[i] and highs[i] < reach[1]):
            column.bins.cover(lows[i], highs[i])
    _count(columns, step, batch)


def _count(columns: Sequence[LayerColumns], step: int, batch: HostBatch) -> None:
    """One bincount over all layers: layer i owns the cells i * B .. (i + 1) * B - 1."""
    size = columns[0].bins.counts.shape[1]
    exponents = np.array([column.bins.exponent for column in columns])
    starts = np.array([column.bins.start for column in columns], dtype=np.float64)
    inverse = np.repeat(np.ldexp(1.0, -exponents).astype(np.float32), batch.drawn)
    cells = np.floor(batch.values * inverse)  # exact: the widths are powers of two
    cells -= np.repeat(starts.astype(np.float32), batch.drawn)
    index = cells.astype(np.int32)
    index += np.repeat(np.arange(len(columns), dtype=np.int32) * size, batch.drawn)
    counts = np.bincount(index, minlength=len(columns) * size).reshape(-1, size)  # [L, B]
    for column, row in zip(columns, counts, strict=True):
        column.bins.counts[step] += row.astype(np.uint32)
