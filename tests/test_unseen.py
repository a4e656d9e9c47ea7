"""Sampling at timesteps that the calibration has nothing of is said."""

from __future__ import annotations

import pytest

from analysis.calibration.run import calibrate
from analysis.comparison import compare
from analysis.quant.run import quantize
from analysis.quant.store import load_quantized, save_quantized
from analysis.side_by_side import side_by_side
from analysis.unseen import calibrated_timesteps, unseen_sentence


@pytest.fixture(scope="module")
def rounded(ddpm, ddpm_capture):
    return quantize(ddpm, plan="W8A8", calibration=ddpm_capture)


def test_what_a_calibration_holds(ddpm, ddpm_capture):
    assert calibrated_timesteps(None) == ()
    assert calibrated_timesteps(ddpm_capture) == (75, 50, 25, 0)
    drawn = calibrate(ddpm, "single", size=4, steps=4, seed=0)
    assert calibrated_timesteps(drawn) == (drawn.t[0],)


def test_a_model_knows_its_calibrations_timesteps_and_keeps_them(ddpm, rounded, tmp_path):
    assert rounded.timesteps == (75, 50, 25, 0)
    save_quantized(rounded, tmp_path / "q")
    assert load_quantized(tmp_path / "q", ddpm).timesteps == rounded.timesteps
    assert quantize(ddpm, plan="W8A32").timesteps == ()


@pytest.mark.parametrize(
    ("steps", "unseen"), [(4, []), (2, []), (5, [80, 60, 40, 20]), (10, [90, 80, 70, 60, 40])]
)
def test_comparisons_name_the_timesteps_that_were_not_seen(ddpm, rounded, steps, unseen):
    alone = compare(ddpm, rounded, samples=1, steps=steps).values["unseen_timesteps"]
    (beside,) = side_by_side(ddpm, [rounded], samples=1, steps=steps).comparisons
    assert alone == beside.values["unseen_timesteps"]
    assert alone[: len(unseen)] == unseen
    assert bool(alone) == bool(unseen)


def test_nothing_is_unseen_where_there_is_no_calibration(ddpm):
    weights_only = quantize(ddpm, plan="W8A32")
    assert compare(ddpm, weights_only, samples=1, steps=3).values["unseen_timesteps"] == []


def test_the_sentence():
    assert unseen_sentence([], 4) == ""
    assert unseen_sentence([80.0, 60.0], 5).startswith("2 of the 5 sampled timesteps")
    assert "(5, 4, 3, 2, ...)" in unseen_sentence([5.0, 4.0, 3.0, 2.0, 1.0], 9)
