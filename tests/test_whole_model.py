"""All layers at once against one at a time, and against values quantized one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import UserError
from analysis.quant.ranges import ESTIMATORS
from analysis.quant.whatif import estimate_range, predict_sqnr_db, qparams_from_range
from analysis.range_search import estimate_ranges
from analysis.records import ActivationStats, Histogram, LayerStats
from analysis.whole_model import WholeModel


def stats_of(values: np.ndarray, bins: int = 512) -> LayerStats:
    """Statistics of values [T, N, C]."""
    flat = values.reshape(len(values), -1)
    edges = np.linspace(flat.min() - 0.3, flat.max() + 0.2, bins + 1)
    return LayerStats(
        count=np.full(len(flat), flat.shape[1]),
        min=flat.min(axis=1),
        max=flat.max(axis=1),
        mean=flat.mean(axis=1),
        std=flat.std(axis=1),
        histogram=Histogram(np.array([np.histogram(r, edges)[0] for r in flat]), edges),
        channel_min=values.min(axis=1).astype(np.float32),
        channel_max=values.max(axis=1).astype(np.float32),
    )


def layers(seed: int = 0) -> list[LayerStats]:
    """Heavy tails, one-sided, narrow at the end, all zeros, a constant; bins differ in number."""
    random = np.random.default_rng(seed)
    shape = (3, 500, 4)
    return [
        stats_of(random.standard_t(3, shape)),
        stats_of(np.abs(random.normal(0, 2, shape)), bins=64),
        stats_of(random.normal(0.5, 1, shape) * np.array([8, 3, 1])[:, None, None]),
        stats_of(np.zeros(shape)),
        stats_of(np.full(shape, -0.7)),
        stats_of(random.uniform(0, 1, shape) ** 40),
    ]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("estimator", sorted(ESTIMATORS))
def test_ranges_are_those_of_the_estimator(estimator, symmetric):
    totals = [s.total for s in layers()]
    for bits in (2, 4, 8):
        at_once = estimate_ranges(totals, bits, symmetric, estimator)
        one_by_one = [estimate_range(s, bits, symmetric, estimator) for s in totals]
        assert at_once.tolist() == np.array(one_by_one).tolist()


@given(
    seed=st.integers(0, 10_000),
    bits=st.integers(2, 8),
    symmetric=st.booleans(),
    estimator=st.sampled_from(["lp", "mse", "l1", "lp:0.5", "lp:8"]),
)
def test_a_search_in_single_precision_finds_the_same_range(seed, bits, symmetric, estimator):
    random = np.random.default_rng(seed)
    width = 10.0 ** random.integers(-3, 4)
    tails = random.standard_t(random.integers(1, 9), (1, 300, 2))
    total = stats_of(width * (tails + random.normal())).total
    found = estimate_ranges([total], bits, symmetric, estimator)[0]
    assert found.tolist() == list(estimate_range(total, bits, symmetric, estimator))


@pytest.mark.parametrize("estimator", ["minmax", "percentile:99", "mse"])
def test_sqnr_is_that_of_each_layer_alone(estimator):
    model = WholeModel(layers())
    got = model.sqnr_db(model.noise(model.ranges(3, True, estimator), 3, True))
    expected = [predict_sqnr_db(s, 3, True, estimator) for s in model.stats]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("clip", [(-2.0, 3.0), (0.0, 1.0), (-40.0, 0.5)])
def test_noise_equals_that_of_values_drawn_from_the_histogram(bits, clip):
    model = WholeModel([layers()[0]])
    random, histogram = np.random.default_rng(1), model.stats[0].histogram
    scale, zero_point = (v.astype(np.float64) for v in qparams_from_range(*clip, bits))
    for step, noise in enumerate(model.noise(np.array([clip]), bits)[0]):
        bins = np.repeat(np.arange(512), histogram.counts[step] * 50)
        u = random.uniform(model.edges[0, bins], model.edges[0, bins + 1])
        levels = np.clip(np.rint(u / scale), -zero_point, 2**bits - 1 - zero_point)
        assert noise == pytest.approx(np.mean((u - levels * scale) ** 2), rel=0.03)


def brute_force(values: np.ndarray, bits: int, symmetric: bool) -> np.ndarray:
    """SQNR [T] of values [T, N, C], every channel under its own min-max grid."""
    low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
    scale, zero_point = (
        v.astype(np.float64) for v in qparams_from_range(low, high, bits, symmetric)
    )
    levels = np.clip(np.rint(values / scale), -zero_point, 2**bits - 1 - zero_point)
    error = ((values - levels * scale) ** 2).mean(axis=(1, 2))
    return 10 * np.log10((values**2).mean(axis=(1, 2)) / error)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(("bits", "within"), [(3, 1.2), (4, 0.4), (8, 0.1)])
def test_grids_per_channel_are_estimated_closely(bits, symmetric, within):
    random = np.random.default_rng(0)
    values = random.normal(0, 1, (2, 4000, 32)) * np.geomspace(0.5, 2, 32)
    model = WholeModel([stats_of(values)])
    got = model.sqnr_db(model.channel_noise(bits, symmetric))[0]
    np.testing.assert_allclose(got, brute_force(values, bits, symmetric), atol=within)
    assert (got > predict_sqnr_db(model.stats[0], bits, symmetric) + 1).all()


def test_channels_of_zeros_lose_nothing():
    values = np.random.default_rng(0).normal(size=(1, 500, 4))
    values[..., 1:] = 0
    one, four = WholeModel([stats_of(values[..., :1])]), WholeModel([stats_of(values)])
    assert WholeModel([layers()[3]]).channel_noise(4).tolist() == [[0, 0, 0]]
    assert four.channel_noise(4)[0, 0] < one.channel_noise(4)[0, 0] / 3


def test_no_layers_are_an_empty_table():
    model = WholeModel([])
    assert model.ranges(4).shape == (0, 2)


def test_what_was_worked_out_is_kept_and_bounded():
    model = WholeModel(layers()[:1])
    assert model.ranges(4) is model.ranges(4)
    for percentile in range(200):
        model.ranges(4, False, f"percentile:{60 + percentile / 10}")
    assert len(model._known) <= 64


def test_mistakes_are_named():
    model = WholeModel(layers()[:1])
    with pytest.raises(UserError, match="no range estimator"):
        model.ranges(4, False, "none")
    with pytest.raises(UserError, match="from low to high"):
        model.noise(np.array([[2.0, 1.0]]), 4)


def test_a_tensor_is_known_by_its_statistics_alone():
    total = layers()[0].total
    assert isinstance(total, ActivationStats)
    assert estimate_ranges([], 4, False, "lp").shape == (0, 2)
