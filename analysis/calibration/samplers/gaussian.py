"""Pure noise at every step: cheap, and unlike anything the model sees but at the start."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from analysis.calibration.own_runs import Source
from analysis.calibration.samplers.random import Random
from analysis.calibration.samplers.sampler import SAMPLERS
from analysis.models.trajectory import sample_generators
from analysis.records import Array


@SAMPLERS.register("gaussian")
@dataclass(frozen=True, kw_only=True)
class Gaussian(Random):
    """Standard normal noise in place of x_t, at steps drawn evenly (PTQ4DM's comparison)."""

    def x_t(self, source: Source, steps: Array) -> Array:
        generators = sample_generators(source.spec.seed, 0, len(steps))
        shape = source.model.sample_shape
        return torch.stack([torch.randn(shape, generator=g) for g in generators]).numpy()
