"""Small calibration sets that the tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tdac_set(ddpm):
    """Ten samples over five steps of the tiny DDPM, with its report."""
    from analysis.calibration import calibrate

    return calibrate(ddpm, "tdac", size=10, seed=0, steps=5)
