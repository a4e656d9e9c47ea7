"""What the library hands around: frozen records of CPU numpy arrays, without behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MISS = 0.01  # share of draws that may exceed a stated bound


@dataclass(frozen=True)
class LayerRef:
    """One observed tensor: the input of a layer, or an operand inside it.

    `name` is unique in a model: the module's dotted path, with `#tap` behind it for anything
    but the input: `mid_block.attentions.0#softmax`, `up_blocks.1.resnets.0.conv_shortcut#skip`.
    """

    name: str
    kind: str  # "conv", "linear", "attention" (an operand of its matmuls), "half" (of a concat)
    tap: str = "input"  # "input"; "q", "k", "v", "softmax"; "h", "skip"
    shape: tuple[int, ...] = ()  # of the layer's weight; empty for attention operands

    @property
    def module(self) -> str:
        """Dotted path of the module that the tensor belongs to."""
        return self.name.split("#")[0]


@dataclass(frozen=True)
class Shortcut:
    """A layer whose input is concat(h, skip) along the channels, and where the seam lies."""

    layer: str
    channels_h: int
    channels_skip: int


@dataclass(frozen=True)
class Histogram:
    """Counts [..., B] over shared, evenly spaced edges [B + 1]."""

    counts: Array
    edges: Array

    @property
    def centers(self) -> Array:
        return (self.edges[:-1] + self.edges[1:]) / 2

    @property
    def width(self) -> float:
        """Width of one bin, in the units of the activation."""
        return float(self.edges[1] - self.edges[0])


@dataclass(frozen=True)
class ActivationStats:
    """One tensor at one timestep, or merged over several.

    `count`, `min`, `max`, `mean`, `std` (population) and the per-channel extremes are exact.
    `histogram` holds `sampled` of the `count` values: all of them where the two are equal.
    """

    count: int
    min: float
    max: float
    mean: float
    std: float
    histogram: Histogram  # counts [B]
    channel_min: Array  # [C]
    channel_max: Array  # [C]

    @property
    def sampled(self) -> int:
        return int(self.histogram.counts.sum())


@dataclass(frozen=True)
class LayerStats:
    """One tensor at every timestep of a run: columns over T steps, on one set of bins."""

    count: Array  # [T] int64
    min: Array  # [T] float64
    max: Array  # [T]
    mean: Array  # [T]
    std: Array  # [T]
    histogram: Histogram  # counts [T, B]
    channel_min: Array  # [T, C] float32
    channel_max: Array  # [T, C]

    def at(self, step: int) -> ActivationStats:
        """The statistics of one step (its index, not its timestep)."""
        return ActivationStats(
            count=int(self.count[step]),
            min=float(self.min[step]),
            max=float(self.max[step]),
            mean=float(self.mean[step]),
            std=float(self.std[step]),
            histogram=Histogram(self.histogram.counts[step], self.histogram.edges),
            channel_min=self.channel_min[step],
            channel_max=self.channel_max[step],
        )

    def share_bound(self, step: int) -> float:
        """How far any share of values read off one step's histogram may be wrong, 0 to 1.

        sqrt(ln(2 / MISS) / (2 n)) for n drawn values, exceeded by less than MISS of all draws
        (Dvoretzky, Kiefer & Wolfowitz 1956, with the constant of Massart 1990); 0 where all values
        are counted. Steps are drawn at the same places, so it holds for a step, and for none less
        than that for all together.
        """
        drawn = int(self.histogram.counts[step].sum())
        exact = drawn >= self.count[step]
        return 0.0 if exact else math.sqrt(math.log(2 / MISS) / (2 * drawn))

    @cached_property
    def total(self) -> ActivationStats:
        """All steps as one tensor: moments merged as by Chan et al. (1979), counts added.

        Every step's histogram samples the same share of its values, so adding them is fair.
        """
        n = self.count.sum()
        mean = float((self.count * self.mean).sum() / n)
        m2 = self.count * (self.std**2 + (self.mean - mean) ** 2)  # [T]
        return ActivationStats(
            count=int(n),
            min=float(self.min.min()),
            max=float(self.max.max()),
            mean=mean,
            std=float(np.sqrt(m2.sum() / n)),
            histogram=Histogram(self.histogram.counts.sum(axis=0), self.histogram.edges),
            channel_min=self.channel_min.min(axis=0),
            channel_max=self.channel_max.max(axis=0),
        )


@dataclass(frozen=True)
class SamplingSpec:
    """How samples were drawn: what it takes to draw them again."""

    steps: int
    samples: int
    seed: int
    scheduler: str
    prompt: str | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class Capture:
    """Statistics of every observed tensor at every timestep of one sampling run."""

    model: str
    model_digest: str
    spec: SamplingSpec
    layers: tuple[LayerRef, ...]
    timesteps: Array  # [T], in the order visited: noise first
    stats: tuple[LayerStats, ...]  # one per layer
    shortcuts: tuple[Shortcut, ...] = ()
    exact: bool = False  # histograms hold every value, not a sample of them
    seconds: float = 0.0
    peak_mb: float = 0.0
    meta: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def index(self) -> dict[str, int]:
        """Layer name -> position in `layers` and `stats`."""
        return {layer.name: i for i, layer in enumerate(self.layers)}

    def __getitem__(self, name: str) -> LayerStats:
        return self.stats[self.index[name]]

    def save(self, path: str | Path) -> Path:
        """Write the capture to a file; see `analysis.capture.store.save_capture`."""
        from analysis.capture.store import save_capture

        return save_capture(self, path)
