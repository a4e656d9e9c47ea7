"""Calibration samplers, one file each, filed in `SAMPLERS`."""

from __future__ import annotations

from analysis.calibration.samplers.sampler import SAMPLERS, CalibrationSampler, make_sampler
from analysis.registry import discover

__all__ = ["SAMPLERS", "CalibrationSampler", "make_sampler"]

discover(__name__)
