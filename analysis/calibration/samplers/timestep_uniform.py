"""Q-Diffusion's timestep-aware calibration: the same number of samples at evenly spaced steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import SAMPLERS, setting
from analysis.errors import UserError
from analysis.records import Array


@SAMPLERS.register("timestep-uniform")
@dataclass(frozen=True, kw_only=True)
class TimestepUniform(OwnRunSampler):
    """As many x_t at each of `at` evenly spaced steps (Li et al. 2023, algorithm 1, lines 2-4).

    The paper takes 256 samples at each of 20 of 100 steps (CIFAR-10). Where the size is no
    multiple of `at`, counts differ by one. Released code takes all x_t of a run (`shared_runs`);
    by default each sample here comes from a run of its own, which varies more and costs more.
    """

    allocated = True

    at: int | None = setting(None, "Number of evenly spaced steps; none: all", range=(1, 100_000))

    def check(self, num_steps: int, size: int) -> None:
        super().check(num_steps, size)
        wanted = self._steps(num_steps)
        if wanted > num_steps:
            raise UserError(f"at must be at most the run's {num_steps} steps; got {wanted}.")
        if size < wanted:
            raise UserError(
                f"timestep-uniform needs one sample at each of {wanted} steps, but size is "
                f"{size}; raise the size or lower `at`."
            )

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        count = self._steps(num_steps)
        weights = np.zeros(num_steps)
        weights[((np.arange(count) + 0.5) * num_steps / count).astype(int)] = 1  # middles
        return weights

    def _steps(self, num_steps: int) -> int:
        return num_steps if self.at is None else int(self.at)
