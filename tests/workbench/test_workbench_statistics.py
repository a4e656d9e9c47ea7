"""Heatmap statistics against numbers worked out by hand or by numpy."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.quant.whatif import predict_sqnr_db
from analysis.records import Histogram, LayerStats
from tests.workbench.conftest import layer_stats
from workbench.statistics import STATISTICS, Grid, quantiles

GRID = Grid()


def of_values(values: np.ndarray) -> LayerStats:
    """Statistics of values [T, N], histogram in fine bins."""
    edges = np.linspace(values.min() - 0.1, values.max() + 0.1, 2001)
    counts = np.array([np.histogram(row, edges)[0] for row in values])
    return LayerStats(
        count=np.array([row.size for row in values]),
        min=values.min(axis=1),
        max=values.max(axis=1),
        mean=values.mean(axis=1),
        std=values.std(axis=1),
        histogram=Histogram(counts, edges),
        channel_min=values.min(axis=1)[:, None],
        channel_max=values.max(axis=1)[:, None],
    )


@pytest.fixture
def normal() -> np.ndarray:
    return np.random.default_rng(1).normal(0.5, 2.0, (3, 50_000))


def compute(name: str, stats: LayerStats, grid: Grid = GRID) -> np.ndarray:
    return STATISTICS[name].compute(stats, grid)


def test_a_range_half_as_wide_leaves_one_bit_unused():
    stats = of_values(np.array([[-8.0, 8.0], [-4.0, 4.0], [-2.0, 2.0]]))
    assert compute("drift", stats) == pytest.approx([0, 1, 2])


def test_a_constant_zero_has_no_drift():
    stats = of_values(np.array([[-1.0, 1.0], [0.0, 0.0]]))
    assert np.isnan(compute("drift", stats)[1])


def test_absolute_maximum_looks_at_both_ends():
    stats = of_values(np.array([[-5.0, 2.0], [-1.0, 3.0]]))
    assert compute("absmax", stats).tolist() == [5.0, 3.0]


def test_outlier_share_of_a_normal_distribution(normal):
    beyond = 100 * (np.abs(normal - normal.mean(1, keepdims=True)) > 3 * normal.std(1)[:, None])
    assert compute("outliers", of_values(normal)) == pytest.approx(beyond.mean(1), abs=0.02)


def test_kurtosis_of_a_normal_distribution(normal):
    assert compute("kurtosis", of_values(normal)) == pytest.approx([3, 3, 3], rel=0.05)


def test_kurtosis_of_a_constant_is_unknown():
    stats = of_values(np.array([[1.0, 1.0], [0.0, 2.0]]))
    assert np.isnan(compute("kurtosis", stats)[0])


def test_sqnr_is_the_library_prediction():
    stats, grid = layer_stats([4, 3, 2, 1]), Grid(5, True, "lp")
    expected = predict_sqnr_db(stats, 5, True, "lp")
    assert compute("sqnr", stats, grid).tolist() == expected.tolist()


def test_every_statistic_gives_one_number_a_timestep(bundled):
    for name in STATISTICS:
        assert bundled.table(name, GRID).shape == (len(bundled.names), bundled.steps)


def test_quantiles_equal_numpys_to_a_bin(normal):
    stats, shares = of_values(normal), np.array([0.01, 0.5, 0.99])
    got = quantiles(stats, shares)
    expected = np.quantile(normal, shares, axis=1).T
    assert np.abs(got - expected).max() <= 2 * stats.histogram.width


def test_quantiles_stay_inside_the_values():
    """Bins are wider than the values reach."""
    stats, shares = of_values(np.array([[2.2] * 5 + [4.7] * 5])), np.array([0.0, 0.5, 1.0])
    for got in (quantiles(stats, shares)[0], quantiles(stats.at(0), shares)):
        assert got[0] == 2.2
        assert 2.2 <= got[1] <= 4.7
        assert got[2] == 4.7


def test_a_table_is_worked_out_once(toy):
    assert toy.table("sqnr", Grid(4)) is toy.table("sqnr", Grid(4))
    assert toy.table("sqnr", Grid(4)) is not toy.table("sqnr", Grid(5))
    assert toy.table("std", Grid(4)) is toy.table("std", Grid(5))
