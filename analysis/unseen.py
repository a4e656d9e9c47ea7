"""Timesteps that are sampled at and that a calibration has not seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analysis.calibration.record import CalibrationSet
from analysis.quant.model import QuantizedModel
from analysis.records import Capture

CLOSE = 1e-3  # timesteps nearer than this are one


def calibrated_timesteps(calibration: Capture | CalibrationSet | None) -> tuple[float, ...]:
    """Timesteps of which a calibration holds anything, noise first; none for no calibration."""
    if calibration is None:
        return ()
    found = calibration.t if isinstance(calibration, CalibrationSet) else calibration.timesteps
    return tuple(sorted({float(t) for t in found}, reverse=True))


def unseen_timesteps(quantized: QuantizedModel, visited: Iterable[float]) -> list[float]:
    """Those of the visited timesteps that the model's calibration has nothing of.

    Ranges and what was learned come from other timesteps there. None where the model was made
    without a calibration, or it is not known what that held.
    """
    known = np.asarray(quantized.timesteps)
    if not known.size:
        return []
    return [float(t) for t in visited if np.abs(known - t).min() > CLOSE]


def unseen_sentence(unseen: list[float], steps: int) -> str:
    """For people; empty where every timestep was seen."""
    if not unseen:
        return ""
    first = ", ".join(f"{t:g}" for t in unseen[:4]) + (", ..." if len(unseen) > 4 else "")
    return (
        f"{len(unseen)} of the {steps} sampled timesteps were not in the calibration ({first}): "
        "calibrate with as many steps as you sample with, or with a multiple of them."
    )
