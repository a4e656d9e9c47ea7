"""PTQ4DM's normally distributed time-step calibration (NDTC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import SAMPLERS, make_sampler, setting
from analysis.errors import check_whole
from analysis.records import Array

MODES = ("clamped", "truncated")


@SAMPLERS.register("ndtc")
@dataclass(frozen=True, kw_only=True)
class NDTC(OwnRunSampler):
    """t ~ Normal(mean * T, std * T), rounded to a step of a run (Shang et al. 2023, 3.3).

    t counts as in the paper: 0 is the cleanest step, T - 1 pure noise. The text has mean at
    most T / 2 and std T / 2; the released script, and so the default, has 0.4 and 0.4. It clamps
    to [0, T - 1], which puts about 16 % of the samples on t = 0 and 7 % on t = T - 1;
    `truncated` draws those again, as a normal distribution cut at both ends.
    """

    mean: float = setting(0.4, "Mean of t, as a share of the steps", range=(0.0, 1.0))
    std: float = setting(0.4, "Standard deviation of t, as a share", range=(1e-3, 100.0))
    mode: str = setting("clamped", "What happens to t outside the run", MODES)

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        return self.probabilities(num_steps)[::-1]

    def probabilities(self, num_steps: int) -> Array:
        """Probability [T] of each t, the cleanest first: exact, not drawn."""
        normal = NormalDist(self.mean * num_steps, self.std * num_steps)
        cuts = np.arange(num_steps + 1) - 0.5  # rounding puts t where it lies between two cuts
        if self.mode == "clamped":
            cuts[0], cuts[-1] = -np.inf, np.inf
        return np.diff([normal.cdf(cut) for cut in cuts])


def ndtc_timesteps(
    num_steps: int,
    size: int,
    mean: float = 0.4,
    std: float = 0.4,
    mode: str = "clamped",
    seed: int = 0,
) -> Array:
    """t [size] int64 in 0 .. num_steps - 1 as PTQ4DM draws it; 0 is the cleanest step.

    clamped: clamp(round(Normal(mean * T, std * T)), 0, T - 1); truncated: values that round to
    a t outside are drawn again. See `NDTC` for where paper and released code differ.

    Raises:
        UserError: for a size or a number of steps below 1, and for options out of range.
    """
    check_whole("num_steps", num_steps)
    sampler = make_sampler("ndtc", {"mean": mean, "std": std, "mode": mode})
    return num_steps - 1 - sampler.steps(num_steps, size, seed=seed)
