"""Samplers that take x_t from the model's own denoising runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.calibration.own_runs import Source, own_runs
from analysis.calibration.samplers.sampler import CalibrationSampler, setting
from analysis.records import Array


@dataclass(frozen=True, kw_only=True)
class OwnRunSampler(CalibrationSampler):
    """Every x_t comes from a run of its own, or with `shared_runs` many from each run.

    Runs of its own vary more and cost more. Released Q-Diffusion shares them.
    """

    shared_runs: bool = setting(False, "Take many steps from each run", (False, True))

    def x_t(self, source: Source, steps: Array) -> Array:
        """Noisy samples [N, C, H, W] float32 at steps [N], which rise."""
        runs = np.arange(len(steps))
        if self.shared_runs:  # the i-th sample of every step comes from run i
            runs = runs - np.searchsorted(steps, steps)
        return own_runs(source, steps, runs)
