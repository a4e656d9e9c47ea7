"""What another grid would do to the activations, read off a capture while somebody turns knobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.quant.whatif import estimate_range
from analysis.records import ActivationStats, Array, Capture, LayerRef
from analysis.whole_model import WholeModel

GRANULARITIES = ("per_tensor", "per_half", "per_channel")
Own = tuple[tuple[str, "Grid"], ...]  # layers whose grid differs from that of all


@dataclass(frozen=True)
class Grid:
    """How an activation would be quantized: what the visitor has set in Explore.

    `per_half` gives the halves of a concatenated shortcut a grid each, `per_channel` every
    channel its own min-max grid. `keep` percent of the estimator's range are kept; `clip` is a
    range drawn by hand, in activation units, and then counts instead.
    """

    bits: int = 4
    symmetric: bool = False
    estimator: str = "minmax"
    granularity: str = "per_tensor"
    keep: int = 100
    clip: tuple[float, float] | None = None


def range_of(stats: ActivationStats, grid: Grid) -> tuple[float, float]:
    """The range (lo, hi) that a tensor's grid covers, before 0 is made one of its levels."""
    if grid.clip is not None:
        return grid.clip
    low, high = estimate_range(stats, grid.bits, grid.symmetric, grid.estimator)
    return low * grid.keep / 100, high * grid.keep / 100


class WhatIf:
    """A capture's layers, ready to be asked about any grid."""

    def __init__(self, capture: Capture, layers: Sequence[LayerRef]) -> None:
        self._rows = {layer.name: row for row, layer in enumerate(layers)}
        self._capture = capture
        self._whole = WholeModel([capture[layer.name] for layer in layers])
        self._seams = [s.layer for s in capture.shortcuts if s.layer in self._rows]
        self._halves = {name: self._both(name) for name in self._seams}
        self._every_half = WholeModel([s for half in self._halves.values() for s in half.stats])

    def sqnr_db(self, grid: Grid, own: Own = ()) -> Array:
        """Signal-to-quantization-noise ratio in dB [L, T]; one grid serves all timesteps.

        Args:
            grid: of all layers but those in `own`.
            own: (layer, grid) of the layers that differ.
        """
        noise = self._noise(grid)
        for name, other in own:
            noise[self._rows[name]] = self._noise_of(name, other)
        return self._whole.sqnr_db(noise)

    def _noise(self, grid: Grid) -> Array:
        if grid.granularity == "per_channel":
            return self._whole.channel_noise(grid.bits, grid.symmetric).copy()
        noise = _noise(self._whole, grid)
        if grid.granularity == "per_half" and self._seams:
            halves = _noise(self._every_half, grid)  # [2 S, T]: h and skip in turn
            for at, name in enumerate(self._seams):
                noise[self._rows[name]] = _joined(self._halves[name], halves[2 * at : 2 * at + 2])
        return noise

    def _noise_of(self, name: str, grid: Grid) -> Array:
        """Mean squared error [T] of one layer."""
        alone = WholeModel([self._capture[name]])
        if grid.clip is not None:
            return alone.noise(np.array([grid.clip]), grid.bits, grid.symmetric)[0]
        if grid.granularity == "per_channel":
            return alone.channel_noise(grid.bits, grid.symmetric)[0]
        if grid.granularity == "per_half" and name in self._halves:
            return _joined(self._halves[name], _noise(self._halves[name], grid))
        return _noise(alone, grid)[0]

    def _both(self, name: str) -> WholeModel:
        return WholeModel([self._capture[f"{name}#{tap}"] for tap in ("h", "skip")])


def _noise(model: WholeModel, grid: Grid) -> Array:
    """Mean squared error [L, T] under the estimator's ranges, or what is kept of them."""
    ranges = model.ranges(grid.bits, grid.symmetric, grid.estimator) * (grid.keep / 100)
    return model.noise(ranges, grid.bits, grid.symmetric)


def _joined(halves: WholeModel, noise: Array) -> Array:
    """The error [T] of a whole input, from that of its halves [2, T]."""
    counts = np.array([s.count for s in halves.stats])  # [2, T]
    return (counts * noise).sum(axis=0) / counts.sum(axis=0)
