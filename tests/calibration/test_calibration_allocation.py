"""Counts that add up, TDAC's formula and NDTC's probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.calibration import SAMPLERS, ndtc_timesteps, tdac_allocation
from analysis.calibration.allocation import allocate, normalized
from analysis.calibration.samplers.ndtc import NDTC
from analysis.errors import UserError


def level(*values: float) -> list[np.ndarray]:
    """Features that are constant, one number a step: distances by hand, all cosines 1."""
    return [np.full((1, 2, 2, 2), float(v)) for v in values]


@pytest.mark.parametrize(
    ("weights", "size", "counts"),
    [
        ([1, 1, 1], 3, [1, 1, 1]),
        ([0.5, 0.25, 0.25], 8, [4, 2, 2]),
        # 3.3 each rounds to 3: the one that is missing goes to the first of the largest.
        ([1, 1, 1], 10, [4, 3, 3]),
        # 0.4, 2.4 and 5.2 round to 0, 2 and 5: the one that is missing goes to the 5.
        ([0.05, 0.3, 0.65], 8, [0, 2, 6]),
        # 1.75 each rounds to 2: the one too many comes off the last step.
        ([1, 1, 1, 1], 7, [2, 2, 2, 1]),
        # 0.5 each rounds to 0: both that are missing go to different steps.
        ([1, 1, 1, 1], 2, [1, 1, 0, 0]),
        ([0, 0], 3, [2, 1]),
    ],
)
def test_counts_by_hand(weights, size, counts):
    assert allocate(np.array(weights, dtype=float), size).tolist() == counts


def test_what_is_too_much_comes_off_the_last_steps_that_have_any():
    """0.75 each rounds to 1, two too many; the steps without a sample stay as they are."""
    weights = np.array([1.0] * 8 + [0, 0])
    assert allocate(weights, 6).tolist() == [1] * 6 + [0] * 4


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    st.integers(1, 5000),
)
@settings(deadline=None, max_examples=150)
def test_counts_always_sum_to_the_size(weights, size):
    counts = allocate(np.array(weights), size)
    assert counts.sum() == size
    assert (counts >= 0).all()
    exact = normalized(np.array(weights)) * size
    assert (np.abs(counts - exact) < 1 + len(weights)).all()


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(UserError, match="finite and not negative"):
        allocate(np.array(weights), 3)


def test_tdac_by_hand():
    """Distances 1, 4 and 9; radius 4 makes densities 1, 2, 1; directions are all the same."""
    found = tdac_allocation(level(1, 2, 4), radius=4.0, size=10)
    assert found.density.tolist() == [1, 2, 1]
    assert found.diversity.tolist() == [0, 0, 0]
    assert found.weights.tolist() == [0, 1, 0]
    assert found.counts.tolist() == [0, 10, 0]


def test_tdac_weighs_density_and_diversity_by_hand():
    """Right, right, up, at one position: density 1, 1, 0; diversity 1, 1, 2, so 0, 0, 1."""
    vectors = [(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)]
    features = [torch.tensor(v).reshape(1, 2, 1, 1) for v in vectors]
    found = tdac_allocation(features, radius=0.3, lam=1.2, size=32)
    assert found.density.tolist() == [1, 1, 0]
    np.testing.assert_allclose(found.diversity, [1, 1, 2])
    np.testing.assert_allclose(found.weights, np.array([1, 1, 1.2]) / 3.2)
    assert found.counts.tolist() == [10, 10, 12]
    assert tdac_allocation(features, 0.3, 0.0, 5).counts.tolist() == [3, 2, 0]


def test_the_radius_may_be_a_quantile():
    found = tdac_allocation(level(1, 2, 4), radius_quantile=0.5, size=3)
    assert found.radius == pytest.approx(4)
    assert found.density.tolist() == [1, 2, 1]


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-3, 1e4])
@pytest.mark.parametrize("radius", [{"radius": 0.3}, {"radius_quantile": 0.25}])
def test_equal_features_get_equal_counts(value, radius):
    found = tdac_allocation(level(*[value] * 7), size=14, **radius)
    assert found.counts.tolist() == [2] * 7
    random = np.random.default_rng(0).standard_normal((2, 5, 3, 3)) * (value + 1)
    assert tdac_allocation([random] * 7, size=14, **radius).counts.tolist() == [2] * 7


@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 12),
    radius=st.floats(0, 100),
    lam=st.floats(0, 50),
    size=st.integers(1, 3000),
)
@settings(deadline=None, max_examples=100)
def test_tdac_counts_sum_to_the_size(seed, steps, radius, lam, size):
    random = np.random.default_rng(seed)
    features = [random.standard_normal((2, 3, 2, 2)) * random.integers(0, 3) for _ in range(steps)]
    found = tdac_allocation(features, radius, lam, size)
    assert found.counts.sum() == size
    assert (found.counts >= 0).all()
    assert found.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be a whole number of 1 or more samples; got 0"),
        ({"size": 2.5}, "size must be a whole number"),
        ({"radius": -1.0}, "radius must be a finite number of 0 or more; got -1"),
        ({"radius": None}, "radius must be"),
        ({"lam": float("nan")}, "lam must be a finite number"),
        ({"radius_quantile": 1.5}, "radius_quantile must be 0 to 1"),
    ],
)
def test_tdac_names_what_makes_no_sense(arguments, message):
    with pytest.raises(UserError, match=message):
        tdac_allocation(level(1, 2), **arguments)


def test_tdac_refuses_features_that_are_not_finite():
    with pytest.raises(UserError, match="features of step 1 hold NaN"):
        tdac_allocation([np.ones((1, 2)), np.full((1, 2), np.nan)])


def test_clamping_piles_a_sixth_on_the_cleanest_step():
    t = ndtc_timesteps(100, 20_000, seed=1)
    assert t.min() == 0
    assert t.max() == 99
    # Phi((0.5 - 40) / 40) = 0.162, and 1 - Phi((98.5 - 40) / 40) = 0.072.
    assert (t == 0).mean() == pytest.approx(0.162, abs=0.01)
    assert (t == 99).mean() == pytest.approx(0.072, abs=0.01)


def test_truncation_does_not():
    t = ndtc_timesteps(100, 20_000, mode="truncated", seed=1)
    assert (t == 0).mean() < 0.012
    assert (t == 99).mean() < 0.012
    assert t.min() >= 0
    assert t.max() <= 99
    # Mean of a normal of mean 40 and deviation 40 cut at -0.5 and 99.5.
    assert t.mean() == pytest.approx(45.8, abs=1)


@pytest.mark.parametrize("mode", ["clamped", "truncated"])
def test_probabilities_are_those_of_the_formula_drawn_naively(mode):
    t = np.rint(np.random.default_rng(0).normal(4, 4, 400_000))
    t = t.clip(0, 9) if mode == "clamped" else t[(t >= 0) & (t <= 9)]
    wanted = np.bincount(t.astype(int), minlength=10) / len(t)
    found = NDTC(mode=mode).probabilities(10)
    np.testing.assert_allclose(found / found.sum(), wanted, atol=0.004)


def test_ndtc_is_seeded_and_checks_its_arguments():
    assert np.array_equal(ndtc_timesteps(50, 99, seed=3), ndtc_timesteps(50, 99, seed=3))
    assert not np.array_equal(ndtc_timesteps(50, 99, seed=3), ndtc_timesteps(50, 99, seed=4))
    for arguments, message in (
        ({"mode": "cut"}, "mode must be one of: clamped, truncated; got 'cut'"),
        ({"std": 0}, "std must be 0.001 to 100; got 0"),
        ({"mean": "half"}, "mean must be 0 to 1; got 'half'"),
        ({"size": 0}, "size must be a whole number"),
        ({"num_steps": 0}, "num_steps must be a whole number"),
    ):
        with pytest.raises(UserError, match=message):
            ndtc_timesteps(**{"num_steps": 10, "size": 5, **arguments})


def test_timestep_uniform_spaces_its_steps_evenly():
    uniform = SAMPLERS.get("timestep-uniform")
    assert uniform(at=5).steps(20, 10).tolist() == [2, 2, 6, 6, 10, 10, 14, 14, 18, 18]
    assert uniform().steps(4, 6).tolist() == [0, 0, 1, 1, 2, 3]
    assert uniform(at=1).steps(9, 3).tolist() == [4, 4, 4]
    with pytest.raises(UserError, match="one sample at each of 20 steps, but size is 19"):
        uniform().steps(20, 19)
    with pytest.raises(UserError, match="at must be at most the run's 20 steps; got 21"):
        uniform(at=21).steps(20, 30)
