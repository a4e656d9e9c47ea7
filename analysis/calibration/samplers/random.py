"""Steps drawn evenly at random: the baseline that a better choice has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.calibration.samplers.sampler import SAMPLERS, CalibrationSampler
from analysis.records import Array


@SAMPLERS.register("random")
@dataclass(frozen=True, kw_only=True)
class Random(CalibrationSampler):
    """Every step of a run is as likely as every other; x_t from the model's own runs."""

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        return np.ones(num_steps)
