"""A calibration set and what is known of it: frozen records of CPU numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from analysis.records import Array, SamplingSpec


@dataclass(frozen=True)
class CalibrationReport:
    """How the visited steps lie in feature space, and how much of it a set reaches.

    `density` and `diversity` belong to the model and its schedule (EDA-DM's D_t and V_t, see
    `analysis.calibration.geometry`); `coverage` belongs to the set.
    """

    density: Array  # [T] other steps within `radius`
    diversity: Array  # [T] summed cosine distance to the other steps
    radius: float  # mean squared distance of two feature maps
    coverage_per_step: Array  # [T] share 0 .. 1

    @property
    def coverage(self) -> float:
        """Share of the run's feature neighbourhoods that hold a calibration sample."""
        return float(self.coverage_per_step.mean())


@dataclass(frozen=True)
class CalibrationSet:
    """N noisy samples with their timesteps, ready to be given to the denoiser.

    `x_t` is what the denoiser itself is given: a scheduler that scales its input (Euler, say)
    has done so already. `cond` maps denoiser arguments to rows that all samples share: one row,
    or with guidance two, (unconditional, conditional); names of `added_cond_kwargs` follow a dot.
    """

    x_t: Array  # [N, C, H, W] float32
    t: Array  # [N] float64
    cond: Mapping[str, Array]  # [1 or 2, ...] each
    sampler: str
    seed: int
    model: str = ""
    model_digest: str = ""
    spec: SamplingSpec | None = None  # of the runs that the samples were taken from
    timesteps: Array = field(default_factory=lambda: np.zeros(0))  # [T] of a run, noise first
    options: Mapping[str, Any] = field(default_factory=dict)  # of the sampler, plain values
    report: CalibrationReport | None = None

    @property
    def size(self) -> int:
        return len(self.t)

    @cached_property
    def counts(self) -> Array:
        """Samples [T] at each timestep of the run."""
        return (self.t[None, :] == self.timesteps[:, None]).sum(axis=1)
