"""How bimodal a concatenated shortcut input is, and what one scale for both halves costs.

Q-Diffusion (Li et al. 2023, section 4.2) found that the deep half h and the skip half of
concat(h, skip) have very different ranges, so that one scale wastes most levels on one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import diptest
import numpy as np

from analysis.errors import UserError
from analysis.quant.whatif import noise_power, qparams_from_range, sqnr_db
from analysis.records import ActivationStats, Array, Capture, Shortcut

BITS = (2, 3, 4, 5, 6, 7, 8)
SIGNIFICANT = 0.05
SEPARATED = 2.0  # Ashman's D above which two components count as apart


@dataclass(frozen=True)
class ShortcutReport:
    """One concatenated input at one timestep; ranges in the units of the activation."""

    layer: str
    timestep: float
    channels_h: int
    channels_skip: int
    range_h: float
    range_skip: float
    range_ratio: float  # wider over narrower half, 1 or more
    dip: float
    dip_p: float  # of Hartigan's dip test on the channels' reaches; small: more than one hump
    ashman_d: float  # of the two halves' reaches; above 2 they lie apart
    bimodal: bool
    sqnr_db_joint: dict[int, float]  # bits -> dB, whole input under one scale
    sqnr_db_split: dict[int, float]  # bits -> dB, whole input, a scale for each half
    sqnr_db_small_half_joint: dict[int, float]  # the narrower half alone, under one scale
    sqnr_db_small_half_split: dict[int, float]  # the narrower half alone, under its own


def shortcut_report(
    capture: Capture, timestep: float | None = None, bits: Sequence[int] = BITS
) -> list[ShortcutReport]:
    """Every shortcut at one timestep; `None` takes the middle of the run.

    Raises:
        UserError: when the capture has no shortcut, or the timestep was not visited.
    """
    if not capture.shortcuts:
        raise UserError(
            "This capture holds no concatenated shortcut: the model has none, or --layers left "
            "them out; capture with all layers."
        )
    step = len(capture.timesteps) // 2 if timestep is None else _step(capture, timestep)
    return [report_shortcut(capture, shortcut, step, bits) for shortcut in capture.shortcuts]


def report_shortcut(
    capture: Capture, shortcut: Shortcut, step: int, bits: Sequence[int] = BITS
) -> ShortcutReport:
    """One shortcut at one step (its index)."""
    h = capture[f"{shortcut.layer}#h"].at(step)
    skip = capture[f"{shortcut.layer}#skip"].at(step)
    wide, narrow = sorted((_range(h), _range(skip)), reverse=True)
    small = skip if _range(skip) <= _range(h) else h
    dip, p = _dip(np.concatenate([reach(h), reach(skip)]))
    d = ashman_d(reach(h), reach(skip))
    both, apart = (h, skip), ((h,), (skip,))
    return ShortcutReport(
        layer=shortcut.layer,
        timestep=float(capture.timesteps[step]),
        channels_h=shortcut.channels_h,
        channels_skip=shortcut.channels_skip,
        range_h=_range(h),
        range_skip=_range(skip),
        range_ratio=wide / narrow if narrow > 0 else float("inf"),
        dip=dip,
        dip_p=p,
        ashman_d=d,
        bimodal=bool(p < SIGNIFICANT and d > SEPARATED),
        sqnr_db_joint={b: _sqnr(both, [both], b) for b in bits},
        sqnr_db_split={b: _sqnr(both, apart, b) for b in bits},
        sqnr_db_small_half_joint={b: _sqnr((small,), [both], b) for b in bits},
        sqnr_db_small_half_split={b: _sqnr((small,), [(small,)], b) for b in bits},
    )


def reach(half: ActivationStats) -> Array:
    """log2 of every channel's largest absolute value [C]: how far the channel reaches."""
    largest = np.maximum(np.abs(half.channel_min), np.abs(half.channel_max)).astype(np.float64)
    return np.log2(np.maximum(largest, np.finfo(np.float32).tiny))


def ashman_d(a: Array, b: Array) -> float:
    """sqrt(2) |mean_a - mean_b| / sqrt(var_a + var_b) (Ashman, Bird & Zepf 1994)."""
    spread = np.sqrt(a.var() + b.var())
    gap = np.sqrt(2) * abs(a.mean() - b.mean())
    if spread == 0:
        return 0.0 if gap == 0 else float("inf")
    return float(gap / spread)


def _dip(values: Array) -> tuple[float, float]:
    """Hartigan & Hartigan's dip and its p-value; no evidence where there are under 4 values."""
    if len(values) < 4 or np.ptp(values) == 0:
        return 0.0, 1.0
    dip, p = diptest.diptest(values)
    return float(dip), float(p)


def _range(stats: ActivationStats) -> float:
    return float(stats.max - stats.min)


def _sqnr(
    parts: Sequence[ActivationStats], grids: Sequence[Sequence[ActivationStats]], bits: int
) -> float:
    """SQNR in dB of `parts` together, each under the grid whose members include it."""
    signal = noise = 0.0
    for part in parts:
        members = next(group for group in grids if any(member is part for member in group))
        low, high = min(m.min for m in members), max(m.max for m in members)
        scale, zero_point = qparams_from_range(low, high, bits, False)
        edges = np.clip(part.histogram.edges, part.min, part.max)
        error = float(noise_power(part.histogram.counts, edges, scale, zero_point, bits))
        signal += part.count * (part.mean**2 + part.std**2)
        noise += part.count * error
    return float(sqnr_db(signal, noise))


def _step(capture: Capture, timestep: float) -> int:
    found = np.flatnonzero(np.isclose(capture.timesteps, timestep))
    if not found.size:
        raise UserError(
            f"Timestep {timestep:g} was not visited; the run went from "
            f"{capture.timesteps[0]:g} to {capture.timesteps[-1]:g} in {len(capture.timesteps)} "
            "steps."
        )
    return int(found[0])
