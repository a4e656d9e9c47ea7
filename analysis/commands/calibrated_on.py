"""Reading what a method is to be calibrated on."""

from __future__ import annotations

from typing import Any

from analysis.runs import find_calibration


def load_calibrated_on(run: str) -> Any:
    """The calibration set or the capture of a run; `UserError` if it holds neither."""
    import analysis
    from analysis.calibration.store import KIND
    from analysis.files import format_of

    path = find_calibration(run)
    is_set = format_of(path) == KIND.format
    return analysis.load_calibration(path) if is_set else analysis.load_capture(path)
