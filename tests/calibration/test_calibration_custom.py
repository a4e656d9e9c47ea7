"""The sampler of explicit counts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.calibration import SAMPLERS, calibrate
from analysis.errors import UserError


def custom(counts):
    return SAMPLERS.get("custom")(counts=counts)


def test_steps_hold_exactly_the_counts():
    counts = [0, 3, 1, 0, 12]
    steps = custom(counts).steps(5, 16, seed=9)
    assert np.bincount(steps, minlength=5).tolist() == counts


@pytest.mark.parametrize("seed", range(20))
def test_no_histogram_is_rounded(seed):
    """Counts pass through shares of 1 and back; none may change by it."""
    counts = np.random.default_rng(seed).integers(0, 1000, 50)
    steps = custom(tuple(counts.tolist())).steps(50, int(counts.sum()))
    assert np.array_equal(np.bincount(steps, minlength=50), counts)


def test_a_set_is_drawn_at_the_counts(ddpm):
    found = calibrate(
        ddpm, "custom", 6, 0, 4, with_report=False, counts=(1, 0, 5, 0), shared_runs=True
    )
    assert found.counts.tolist() == [1, 0, 5, 0]
    assert found.x_t.shape == (6, *ddpm.sample_shape)
    json.dumps(dict(found.options), allow_nan=False)
    assert found.options["counts"] == "(1, 0, 5, 0)"


def test_without_counts_all_steps_are_alike():
    assert np.bincount(custom(None).steps(4, 12)).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize(
    "counts",
    [[], "many", [1, -1, 2], [0, 0, 0], [1.5, 1, 1], [np.nan, 1, 1], [np.inf, 1, 1], [[1, 1, 1]]],
)
def test_what_is_no_histogram_is_one_sentence(counts):
    with pytest.raises(UserError, match="counts of custom must be whole numbers of 0 or more"):
        custom(counts).steps(3, 3)


def test_counts_must_fit_the_steps_and_the_size():
    with pytest.raises(UserError, match="has 2 numbers, but a run has 3 steps"):
        custom([1, 2]).steps(3, 3)
    with pytest.raises(UserError, match="add up to 6 samples, but size is 5; make the two equal"):
        custom([1, 2, 3]).steps(3, 5)
    assert custom(4).steps(1, 4).tolist() == [0, 0, 0, 0]
