"""Feeding tensors to a recorder by hand, and comparing histograms on different bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from analysis.capture.recorder import Recorder, finished
from analysis.capture.trace import Part, Seers
from analysis.records import Histogram, LayerRef, LayerStats

CONV = LayerRef("net.conv", "conv", shape=(4, 4, 3, 3))


def alone(layer: LayerRef, part: Part = None) -> Seers:
    """One layer that sees what no other does."""
    return ((layer, part),)


def record_batches(
    steps: Sequence[torch.Tensor],
    sizes: Sequence[int] | None = None,
    layer: LayerRef = CONV,
    drawn: int | None = None,
    seed: int = 0,
    bins: int = 512,
    part: slice | None = None,
) -> LayerStats:
    """Statistics of one layer whose input at step i is `steps[i]`, shown in batches of `sizes`."""
    samples = len(steps[0])
    timesteps = np.arange(len(steps), 0, -1, dtype=np.float64)
    recorder = Recorder(timesteps, samples, seed, bins, drawn)
    first = 0
    for size in sizes or [samples]:
        recorder.begin_batch(first, size)
        for timestep, x in zip(timesteps, steps, strict=True):
            recorder.begin_pass(timestep)
            recorder.observe(alone(layer, part), x[first : first + size])
            recorder.flush()
        first += size
    assert first == samples
    kept, stats, absent = finished(recorder, [layer])
    assert (kept, absent) == ([layer], [])
    return stats[0]


def lag(a: Histogram, b: Histogram) -> float:
    """Most by which one distribution [B] exceeds the other a bin further on."""
    width = max(a.width, b.width)
    counts_a, counts_b = cells(a, width), cells(b, width)
    positions = range(min(*counts_a, *counts_b) - 1, max(*counts_a, *counts_b) + 2)
    below = [
        np.cumsum([counts.get(p, 0) for p in positions]) / sum(counts.values())
        for counts in (counts_a, counts_b)
    ]
    return float(max((x[:-1] - y[1:]).max() for x, y in (below, below[::-1])))


def cells(histogram: Histogram, width: float) -> dict[int, int]:
    """Counts of a histogram [B] on bins of another, coarser width, by position from zero."""
    found: dict[int, int] = {}
    for count, left in zip(histogram.counts.tolist(), histogram.edges.tolist(), strict=False):
        if count:
            position = int(np.floor(left / width))
            found[position] = found.get(position, 0) + count
    return found


@pytest.fixture(scope="session")
def record():
    return record_batches


@pytest.fixture(scope="session")
def same_counts():
    """Whether two histograms hold the same values, whatever the width of their bins."""

    def same(a: Histogram, b: Histogram) -> bool:
        width = max(a.width, b.width)
        return cells(a, width) == cells(b, width)

    return same


@pytest.fixture(scope="session")
def histogram_lag():
    return lag
