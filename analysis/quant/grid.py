"""The uniform affine grid in numpy: its scale and zero point, its levels, its exact error.

A grid of b bits holds n = 2^b levels, scale * (i - zero_point) for i = 0 .. n - 1. One rule
serves symmetric and asymmetric, weights and activations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UserError
from analysis.records import Array

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # below it, 1 / scale is not finite


def qparams_from_range(
    lo: ArrayLike, hi: ArrayLike, bits: int, symmetric: bool = False
) -> tuple[Array, Array]:
    """Scale (float32) and zero point (int32) for ranges [lo, hi], element by element.

    The range is widened to contain 0, so that 0 is a level. Asymmetric (Jacob et al. 2018,
    arXiv 1712.05877, eq. 3): scale = (hi - lo) / (n - 1), zero_point = round(-lo / scale).
    Symmetric: scale = max(|lo|, |hi|) / (n / 2 - 1), zero_point = n / 2.
    A range without extent gets scale 1.

    >>> qparams_from_range(-1.0, 2.0, bits=2)
    (array(1., dtype=float32), array(1, dtype=int32))
    >>> qparams_from_range(-1.0, 7.0, bits=4, symmetric=True)
    (array(1., dtype=float32), array(8, dtype=int32))

    Raises:
        UserError: when a range is not finite or upside down.
    """
    low, high = np.asarray(lo, dtype=np.float64), np.asarray(hi, dtype=np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise UserError(f"a range must be finite and go from low to high; got {low} to {high}")
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    top = 2**bits - 1
    span = np.maximum(-low, high) / (2 ** (bits - 1) - 1) if symmetric else (high - low) / top
    scale = np.asarray(np.where(span >= SMALLEST_SCALE, span, 1.0), dtype=np.float32)
    if symmetric:
        return scale, np.full(scale.shape, 2 ** (bits - 1), dtype=np.int32)
    zero_point = np.clip(np.rint(-low / scale.astype(np.float64)), 0, top)
    return scale, np.asarray(zero_point, dtype=np.int32)


def steps_from_zero(x: Array, scale: Array, zero_point: Array, bits: int) -> Array:
    """Nearest level of x, counted in steps from 0: clip(round(x / scale), -z, n - 1 - z)."""
    return np.clip(np.rint(x / scale), -zero_point, 2**bits - 1 - zero_point)


def error_integral(
    x: Array, scale: Array, zero_point: Array, bits: int, power: float = 2.0
) -> Array:
    """G(x), the integral from 0 to x of |u - Q(u)|^p du, exactly.

    Every whole rounding cell adds 2 (scale / 2)^(p + 1) / (p + 1). What remains runs from the
    nearest level, at distance r: sign(r) |r|^(p + 1) / (p + 1). Beyond the last level r simply
    grows, so clipped tails need no case of their own.
    """
    steps = steps_from_zero(x, scale, zero_point, bits)
    rest = x - steps * scale
    cell = 2 * (scale / 2) ** (power + 1) / (power + 1)
    return steps * cell + np.sign(rest) * np.abs(rest) ** (power + 1) / (power + 1)


def mean_bin_error(
    edges: Array, scale: Array, zero_point: Array, bits: int, power: float = 2.0
) -> Array:
    """Mean of |u - Q(u)|^p over each bin [..., B], for values spread evenly in it.

    Args:
        edges: bin edges [..., B + 1]; neighbours may coincide.
        scale, zero_point: [...], one grid for each row of edges.
    """
    s, z = _columns(scale), _columns(zero_point)
    integral = error_integral(edges, s, z, bits, power)  # [..., B + 1]
    width = np.diff(edges, axis=-1)  # [..., B]
    # The difference of two integrals loses its digits in a bin much narrower than a step.
    wide = width > 1e-7 * s
    safe = np.where(wide, width, 1.0)
    middle = (edges[..., 1:] + edges[..., :-1]) / 2
    point = np.abs(middle - steps_from_zero(middle, s, z, bits) * s) ** power
    return np.where(wide, np.maximum(np.diff(integral, axis=-1), 0.0) / safe, point)


def _columns(value: ArrayLike) -> Array:
    """[...] -> [..., 1] in float64, so that it meets the bins."""
    return np.asarray(value, dtype=np.float64)[..., None]
