"""Counted passes against the passes that the real work makes."""

from __future__ import annotations

import pytest

from analysis.calibration.run import calibrate
from analysis.calibration.samplers import SAMPLERS, make_sampler
from analysis.calibration.statistics import calibration_statistics
from analysis.cost.counts import calibration_passes, sampling_passes, set_passes
from analysis.models.trajectory import sample, sampling_spec

LOOKS = [name for name in SAMPLERS if SAMPLERS.get(name).uses_features]
OTHERS = [name for name in SAMPLERS if name not in (*LOOKS, "custom")]


@pytest.mark.parametrize(("scheduler", "steps"), [("ddim", 3), ("heun", 3), (None, 1)])
def test_passes_of_sampling(ddpm, spent, scheduler, steps):
    spec = sampling_spec(ddpm, steps, 5, scheduler=scheduler)
    _, real = spent(lambda: sample(ddpm, spec, batch=2))
    assert sampling_passes(ddpm, spec, 2) == real
    assert set(real) == {1, 2}


@pytest.mark.parametrize("with_report", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_passes_of_calibration(ddpm, spent, name, with_report):
    told = {"sampler": name, "size": 9, "seed": 3, "steps": 4, "batch": 4}
    _, real = spent(lambda: calibrate(ddpm, **told, with_report=with_report))
    spec = sampling_spec(ddpm, 4, 1, 3)
    assert calibration_passes(ddpm, spec, make_sampler(name, {}), 9, 4, with_report) == real


def test_passes_of_shared_runs_and_of_second_order(ddpm, spent):
    told = {"size": 9, "steps": 4, "batch": 2, "with_report": False, "shared_runs": True}
    _, real = spent(lambda: calibrate(ddpm, "ndtc", scheduler="heun", **told))
    spec = sampling_spec(ddpm, 4, 1, scheduler="heun")
    chosen = make_sampler("ndtc", {"shared_runs": True})
    assert calibration_passes(ddpm, spec, chosen, 9, 2, False) == real


@pytest.mark.parametrize("name", LOOKS)
def test_samplers_that_look_at_features_are_taken_to_spread_evenly(ddpm, spent, name):
    _, real = spent(lambda: calibrate(ddpm, name, 24, steps=6, batch=4, with_report=False))
    spec = sampling_spec(ddpm, 6, 1)
    counted = calibration_passes(ddpm, spec, make_sampler(name, {}), 24, 4, False)
    assert min(counted[4], real[4]) >= 4 * 6  # the features themselves: 16 samples, six steps
    assert 0.6 < sum(counted.values()) / sum(real.values()) < 1.6


def test_passes_over_a_set(ddpm, spent):
    drawn = calibrate(ddpm, "ndtc", 11, steps=4, with_report=False)
    _, real = spent(lambda: calibration_statistics(ddpm, drawn, batch=3))
    assert set_passes(drawn.t, 3) == real
