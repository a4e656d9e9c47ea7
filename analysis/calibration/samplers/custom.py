"""A histogram over the steps that a person has drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import SAMPLERS, setting
from analysis.errors import UserError
from analysis.records import Array


@SAMPLERS.register("custom")
@dataclass(frozen=True, kw_only=True)
class Custom(OwnRunSampler):
    """Exactly `counts[i]` x_t at step i of the model's own runs, noise first.

    Without counts every step has as many samples as every other.
    """

    allocated = True

    counts: tuple[int, ...] | None = setting(
        None, "Samples at each step, noise first: 8,4,0,…; none: all alike"
    )

    def check(self, num_steps: int, size: int) -> None:
        super().check(num_steps, size)
        if self.counts is None:
            return
        total = int(self._counts(num_steps).sum())
        if total != size:
            raise UserError(
                f"The counts of custom add up to {total} samples, but size is {size}; make the "
                "two equal."
            )

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        return np.ones(num_steps) if self.counts is None else self._counts(num_steps)

    def _counts(self, num_steps: int) -> Array:
        """Samples [T] at each step; `UserError` for what is no histogram over T steps."""
        try:
            counts = np.atleast_1d(np.asarray(self.counts, dtype=np.float64))
        except (TypeError, ValueError):
            counts = np.array([np.nan])
        whole = np.isfinite(counts).all() and (counts >= 0).all() and (counts % 1 == 0).all()
        if counts.ndim != 1 or not whole or counts.sum() < 1:
            raise UserError(
                "counts of custom must be whole numbers of 0 or more, one for each step, and one "
                "of them above 0."
            )
        if len(counts) != num_steps:
            raise UserError(
                f"counts of custom has {len(counts)} numbers, but a run has {num_steps} steps; "
                "give one number for each step."
            )
        return counts
