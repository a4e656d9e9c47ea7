"""EDA-DM's temporal distribution alignment calibration (TDAC)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.calibration.allocation import allocate, check_size, normalized
from analysis.calibration.geometry import (
    as_features,
    density,
    diversity,
    pairwise_distances,
    quantile_radius,
)
from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import SAMPLERS, setting
from analysis.errors import UserError
from analysis.records import Array

LAMBDA = 1.2
QUANTILE = 0.25


@dataclass(frozen=True)
class TdacAllocation:
    """How many samples each of T steps gets, and why."""

    density: Array  # [T] int64, other steps within the radius
    diversity: Array  # [T], summed cosine distance to the other steps
    weights: Array  # [T], sum to 1
    counts: Array  # [T] int64, sum to the size
    radius: float  # mean squared distance


def tdac_allocation(
    features: Sequence[Any],
    radius: float | None = 0.3,
    lam: float = LAMBDA,
    size: int = 256,
    radius_quantile: float | None = None,
) -> TdacAllocation:
    """Share `size` samples out over steps by EDA-DM's density and diversity (Liu et al. 2024, 3.2).

    D_t = number of other steps t' with mean((F_t - F_t')^2) <= radius; V_t = sum over t' and
    all positions of 1 - cos(F_t, F_t') along the channels. With both min-max normalized over t,
    P_t = (D_t + lam * V_t) / sum, counts = round(P_t * size), and the remainder goes one by one
    to the largest counts or comes one by one off the last steps, as in the released code.
    Released radii: 0.3 (LSUN), 3.0 (CIFAR-10); lam 1.2. The released code divides 0 by 0 where
    all densities are equal; here such a term counts nothing, and all-equal features get equal
    counts.

    Args:
        features: T feature maps [n, C, ...], arrays or tensors, in the order visited.
        radius: absolute, in squared units of the features.
        radius_quantile: 0 .. 1; takes this quantile of all pairwise distances as the radius.

    Raises:
        UserError: for no features, shapes that differ, NaN or infinite values, a size below 1,
            or a negative radius or lam.
    """
    check_size(size)
    maps = as_features(features)  # [T, n, C, P]
    distances = pairwise_distances(maps)
    if radius_quantile is not None:
        radius = quantile_radius(distances, radius_quantile)
    if radius is None or not (np.isfinite(radius) and radius >= 0):
        raise UserError(f"radius must be a finite number of 0 or more; got {radius}.")
    if not (np.isfinite(lam) and lam >= 0):
        raise UserError(f"lam must be a finite number of 0 or more; got {lam}.")
    dense, diverse = density(distances, radius), diversity(maps)
    weights = normalized(_min_max(dense) + lam * _min_max(diverse))
    return TdacAllocation(dense, diverse, weights, allocate(weights, size), float(radius))


@SAMPLERS.register("tdac")
@dataclass(frozen=True, kw_only=True)
class TDAC(OwnRunSampler):
    """Counts by `tdac_allocation` on the middle feature maps of one batch of the model's own runs.

    An absolute radius fits one model only, so the default is a quantile of the pairwise
    distances; giving `radius` restores the released rule.
    """

    uses_features = True
    allocated = True

    radius: float | None = setting(
        None, "Absolute radius; none takes the quantile", range=(0.0, 1e12)
    )
    radius_quantile: float = setting(
        QUANTILE, "Radius as a quantile of the pairwise distances", range=(0.0, 1.0)
    )
    lam: float = setting(LAMBDA, "Weight of diversity against density", range=(0.0, 1e6))

    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        if features is None or len(features) != num_steps:
            raise UserError(f"TDAC needs the features of all {num_steps} steps.")
        quantile = self.radius_quantile if self.radius is None else None
        return tdac_allocation(features, self.radius, self.lam, 1, quantile).weights


def _min_max(values: Array) -> Array:
    """Values moved and scaled to 0 .. 1; zeros where all are equal up to rounding."""
    values = np.asarray(values, dtype=np.float64)
    span = values.max() - values.min()
    if span <= 1e-9 * np.abs(values).max():
        return np.zeros_like(values)
    return (values - values.min()) / span
