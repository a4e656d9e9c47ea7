"""One scale against two, half by half: what a shortcut's split gains for inputs and for weights.

The split is Q-Diffusion's (Li et al. 2023, section 4.2): concat(h, skip) and the weight slices
that meet its halves get grids of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.errors import UserError
from analysis.quant.grid import qparams_from_range, steps_from_zero
from analysis.quant.whatif import noise_power, sqnr_db
from analysis.records import Array, Capture, Shortcut
from analysis.shortcuts import BITS

Curve = dict[int, float]  # bits -> SQNR in dB


@dataclass(frozen=True)
class Gain:
    """SQNR in dB of one part, under one scale for both halves and under two."""

    one: Curve
    two: Curve


@dataclass(frozen=True)
class SplitGain:
    """What two scales gain for each half, and for both together."""

    h: Gain
    skip: Gain
    whole: Gain


def activation_gain(
    capture: Capture, shortcut: Shortcut, step: int, bits: Sequence[int] = BITS
) -> SplitGain:
    """Of a concatenated input at one step (its index), from histograms; min-max grids."""
    parts = [capture[f"{shortcut.layer}#{tap}"].at(step) for tap in ("h", "skip")]
    ends = np.array([(part.min, part.max) for part in parts])  # [2, 2]
    power = np.array([part.count * (part.mean**2 + part.std**2) for part in parts])

    def errors(ranges: Array, b: int) -> Array:
        scale, zero_point = qparams_from_range(ranges[:, 0], ranges[:, 1], b)
        found = [
            part.count
            * noise_power(
                part.histogram.counts, np.clip(part.histogram.edges, part.min, part.max), s, z, b
            )
            for part, s, z in zip(parts, scale, zero_point, strict=True)
        ]
        return np.array(found, dtype=np.float64)

    both = np.tile([ends[:, 0].min(), ends[:, 1].max()], (2, 1))  # [2, 2]
    return _gain(power, {b: (errors(both, b), errors(ends, b)) for b in bits})


def weight_gain(weight: Array, seam: int, bits: Sequence[int] = BITS) -> SplitGain:
    """Of a weight [C_out, C_in, ...], min-max grids for each row, or for each half of it.

    Raises:
        UserError: when the seam cuts nothing off.
    """
    if weight.ndim < 2 or not 0 < seam < weight.shape[1]:
        raise UserError(
            f"A weight of shape {weight.shape} cannot be split at {seam}; give the number of "
            "channels of h."
        )
    rows = weight.astype(np.float64)
    parts = [half.reshape(len(rows), -1) for half in (rows[:, :seam], rows[:, seam:])]
    ends = [(half.min(axis=1), half.max(axis=1)) for half in parts]  # [C_out] each
    both = np.minimum(ends[0][0], ends[1][0]), np.maximum(ends[0][1], ends[1][1])
    power = np.array([(half**2).sum() for half in parts])

    def errors(ranges: Sequence[tuple[Array, Array]], b: int) -> Array:
        return np.array([_error(half, *r, b) for half, r in zip(parts, ranges, strict=True)])

    return _gain(power, {b: (errors([both, both], b), errors(ends, b)) for b in bits})


def _error(rows: Array, low: Array, high: Array, bits: int) -> float:
    """Summed squared error of rows [C_out, M], each rounded to its own grid."""
    scale, zero_point = (v.astype(np.float64)[:, None] for v in qparams_from_range(low, high, bits))
    rounded = steps_from_zero(rows, scale, zero_point, bits) * scale
    return float(((rows - rounded) ** 2).sum())


def _gain(power: Array, errors: dict[int, tuple[Array, Array]]) -> SplitGain:
    """Curves from the signal's power [2] and, for all bits, the errors [2] of one scale and two."""

    def curves(pick: slice) -> Gain:
        signal = power[pick].sum()
        one, two = (
            {b: float(sqnr_db(signal, pair[i][pick].sum())) for b, pair in errors.items()}
            for i in (0, 1)
        )
        return Gain(one, two)

    return SplitGain(curves(slice(0, 1)), curves(slice(1, 2)), curves(slice(0, 2)))
