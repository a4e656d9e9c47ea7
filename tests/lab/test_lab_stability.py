"""Repeats: the same as drawing and measuring with each seed, and their spread by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.calibration import calibrate
from analysis.errors import Cancelled, UserError
from analysis.lab.effect import effect_of
from analysis.lab.stability import Stability, stability
from analysis.quant.plan import QuantPlan

PLAN = QuantPlan.parse("W4A4")


def test_every_repeat_is_a_calibration_of_its_own_seed(ddpm, held):
    found = stability(ddpm, PLAN, held, "timestep-uniform", 3, 3, seed=4, repeats=2)
    assert found.seeds == (4, 5)
    for k, seed in enumerate(found.seeds):
        drawn = calibrate(ddpm, "timestep-uniform", 3, seed, 3, with_report=False, shared_runs=True)
        alone = effect_of(ddpm, drawn, PLAN, held)
        assert found.layers == alone.layers
        np.testing.assert_array_equal(found.scales[k], alone.scales)
        assert found.sqnr_db[k] == alone.sqnr_db
    assert (found.scales[0] != found.scales[1]).any()


def test_spread_is_the_standard_deviation_by_the_mean():
    scales = np.array([[1.0, 4.0], [3.0, 4.0]])
    found = Stability((0, 1), ("a", "b"), scales, np.array([20.0, 21.0])).spread
    assert found.tolist() == pytest.approx([np.sqrt(2) / 2, 0])


def test_nonsense_is_one_sentence_and_stop_stops(ddpm, held):
    for repeats in (1, 0, 2.0, True):
        with pytest.raises(UserError, match="repeats must be a whole number of 2 or more"):
            stability(ddpm, PLAN, held, "random", 3, 3, repeats=repeats)
    with pytest.raises(UserError, match="leaves activations float"):
        stability(ddpm, QuantPlan.parse("W4A32"), held, "random", 3, 3)
    with pytest.raises(Cancelled):
        stability(ddpm, PLAN, held, "random", 3, 3, should_stop=lambda: True)
