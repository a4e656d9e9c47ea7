"""Which noisy samples a quantizer is calibrated on, and how well they stand for a sampling run.

Names are looked up when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "CalibrationReport": "record",
    "CalibrationSampler": "samplers",
    "CalibrationSet": "record",
    "SAMPLERS": "samplers",
    "calibrate": "run",
    "calibration_digest": "store",
    "calibration_statistics": "statistics",
    "load_calibration": "store",
    "ndtc_timesteps": "samplers.ndtc",
    "save_calibration": "store",
    "tdac_allocation": "samplers.tdac",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
