"""Growing tables of many layers over T timesteps, merged one forward pass at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from analysis.capture.bins import DyadicBins
from analysis.capture.summary import Summary
from analysis.records import Array, LayerStats

FAR = 30.0  # a mean this many standard deviations off zero is worth a center of its own


class LayerColumns:
    """Running statistics of one layer over T timesteps."""

    def __init__(self, steps: int, bins: int, channels: int) -> None:
        self.count = np.zeros(steps, dtype=np.int64)
        self.mean = np.zeros(steps)
        self.m2 = np.zeros(steps)
        self.channel_min = np.full((steps, channels), np.inf, dtype=np.float32)
        self.channel_max = np.full((steps, channels), -np.inf, dtype=np.float32)
        self.bins = DyadicBins(steps, bins)

    def add(self, step: int, row: HostSummary) -> None:
        """Merge one tensor's summary (Chan, Golub & LeVeque 1979, pairwise update)."""
        before, count = int(self.count[step]), row.count
        if before:
            total = before + count
            shift = row.mean - self.mean[step]
            self.m2[step] += row.m2 + shift**2 * before * count / total
            self.mean[step] += shift * count / total
            self.count[step] = total
            np.minimum(self.channel_min[step], row.low, out=self.channel_min[step])
            np.maximum(self.channel_max[step], row.high, out=self.channel_max[step])
        else:
            self.count[step], self.mean[step], self.m2[step] = count, row.mean, row.m2
            self.channel_min[step], self.channel_max[step] = row.low, row.high
        self.bins.cover(row.least, row.greatest)
        self.bins.add(step, row.values)

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
class HostSummary:
    """One tensor's summary on the host, its channels made one."""

    count: int
    mean: float
    m2: float  # sum of squared deviations from the mean
    low: Array  # [C]
    high: Array  # [C]
    least: float
    greatest: float
    values: Array  # [n]

    @property
    def finite(self) -> bool:
        return math.isfinite(self.m2)  # any NaN or infinity reaches it

    @property
    def far_off(self) -> bool:
        """Whether sums about zero lose digits of the variance."""
        return self.mean**2 * self.count > FAR**2 * self.m2


def to_host(summaries: Sequence[Summary]) -> list[HostSummary]:
    """Wait for the device once, for all groups together; their members in order."""
    low, high, total, norms = (
        _fetch([getattr(s, name) for s in summaries]) for name in ("low", "high", "total", "norms")
    )
    values = iter(_fetch([v for s in summaries for v in s.values]))
    rows = []
    for i, summary in enumerate(summaries):
        count = summary.per_channel * low[i].shape[1]
        offset = total[i].sum(axis=1, dtype=np.float64) / count  # [G]
        power = np.square(norms[i], dtype=np.float64).sum(axis=(1, 2))  # [G]
        m2 = np.where(np.isfinite(power), np.maximum(power - count * offset**2, 0.0), np.nan)
        columns = (summary.center + offset, m2, low[i].min(axis=1), high[i].max(axis=1))
        for g, (mean, spread, least, greatest) in enumerate(
            zip(*(c.tolist() for c in columns), strict=True)
        ):
            rows.append(
                HostSummary(
                    count, mean, spread, low[i][g], high[i][g], least, greatest, next(values)
                )
            )
    return rows


def _fetch(parts: Sequence[torch.Tensor]) -> list[Array]:
    joined = torch.cat([part.reshape(-1) for part in parts]).cpu().numpy()
    out, end = [], 0
    for part in parts:
        begin, end = end, end + part.numel()
        out.append(joined[begin:end].reshape(part.shape))
    return out
