"""Everything at one timestep: what calibration was before diffusion models, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import SAMPLERS, setting
from analysis.records import Array


@SAMPLERS.register("single")
@dataclass(frozen=True, kw_only=True)
class Single(OwnRunSampler):
    """All x_t at one step of the model's own runs.

    PTQ4DM (Shang et al. 2023, table 1) and Q-Diffusion (Li et al. 2023, figure 3) show why that
    fails: ranges move with the timestep.
    """

    allocated = True

    at: float = setting(0.5, "Where in the run: 0 is noise, 1 the last step", range=(0.0, 1.0))

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        weights = np.zeros(num_steps)
        weights[round(self.at * (num_steps - 1))] = 1
        return weights
