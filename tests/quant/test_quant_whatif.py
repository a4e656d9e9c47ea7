"""Errors predicted from histograms against errors measured on tensors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from analysis.quant.grid import error_integral
from analysis.quant.primitives import fake_quantize
from analysis.quant.whatif import (
    error_parts,
    estimate_range,
    noise_power,
    predict_sqnr_db,
    qparams_from_range,
    sqnr_db,
)
from analysis.records import Histogram, LayerStats

ROOT = Path(__file__).parents[2]


def true_error(x: np.ndarray, scale, zero_point, bits: int) -> float:
    t = torch.from_numpy(x)
    out = fake_quantize(t, torch.tensor(scale), torch.tensor(zero_point), bits)
    return (t - out).double().square().mean().item()


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_prediction_needs_no_torch():
    loaded = "import sys; print('torch' in sys.modules)"
    assert run(f"import analysis.quant.whatif, analysis.quant.ranges; {loaded}") == "False"
    # The check itself can fail:
    assert run(f"import analysis.quant.primitives; {loaded}") == "True"


def test_names_are_found_when_asked_for():
    import analysis.quant

    assert analysis.quant.choose_qparams(torch.ones(3), bits=4)[0] > 0
    assert all(getattr(analysis.quant, name) is not None for name in analysis.quant.__all__)
    with pytest.raises(AttributeError):
        _ = analysis.quant.no_such_name


@pytest.mark.parametrize("power", [1.0, 2.0, 2.4])
@pytest.mark.parametrize(("scale", "zero_point", "bits"), [(0.7, 3, 3), (1.3, 0, 2), (0.2, 8, 4)])
def test_the_integral_of_the_error_is_exact(power, scale, zero_point, bits):
    ends = np.array([-4.0, -0.31, 0.0, 0.5, 2.77, 9.0])
    s, z = np.asarray(scale), np.asarray(zero_point)
    closed = np.diff(error_integral(ends, s, z, bits, power))
    for a, b, integral in zip(ends[:-1], ends[1:], closed, strict=True):
        u = np.linspace(a, b, 400_001)
        u = (u[1:] + u[:-1]) / 2
        q = np.clip(np.rint(u / s), -z, 2**bits - 1 - z) * s
        numeric = np.mean(np.abs(u - q) ** power) * (b - a)
        assert integral == pytest.approx(numeric, rel=1e-5)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("estimator", ["minmax", "lp", "percentile:99.9"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8])
def test_prediction_is_within_a_tenth_of_a_db(values, make_stats, bits, estimator, symmetric):
    stats = make_stats(values)
    grid = qparams_from_range(*estimate_range(stats, bits, symmetric, estimator), bits, symmetric)
    signal = np.mean(values.astype(np.float64) ** 2)
    true = float(sqnr_db(signal, true_error(values, *grid, bits)))
    assert predict_sqnr_db(stats, bits, symmetric, estimator) == pytest.approx(true, abs=0.1)


def test_a_constant_is_predicted_exactly(make_stats):
    x = np.full(1000, 0.7, dtype=np.float32)
    stats = make_stats(x)
    grid = qparams_from_range(-1.0, 1.0, 4)
    true = float(sqnr_db(stats.mean**2, true_error(x, *grid, 4)))
    assert predict_sqnr_db(stats, 4, clip=(-1.0, 1.0)) == pytest.approx(true, abs=1e-3)


def test_zeros_lose_nothing(make_stats):
    assert predict_sqnr_db(make_stats(np.zeros(10)), 4) == np.inf


def test_float_loses_nothing(make_stats):
    assert predict_sqnr_db(make_stats(np.arange(10.0)), 32) == np.inf


@pytest.mark.parametrize("clip", [(-1.0, 1.0), (-0.5, 3.0), (-100.0, 100.0)])
def test_rounding_and_clipping_add_up_to_the_whole(values, make_stats, clip):
    histogram = make_stats(values).histogram
    grid = qparams_from_range(*clip, 4)
    rounding, clipping = error_parts(histogram.counts, histogram.edges, *grid, 4)
    total = noise_power(histogram.counts, histogram.edges, *grid, 4)
    assert rounding + clipping == pytest.approx(total)
    scale, zero_point = (g.astype(np.float64) for g in grid)
    steps = values / scale
    out = (steps < -zero_point - 0.5) | (steps > 15 - zero_point + 0.5)
    error = (values - np.clip(np.rint(steps), -zero_point, 15 - zero_point) * scale) ** 2
    assert rounding == pytest.approx(np.mean(error * ~out), rel=0.05, abs=1e-6)
    assert clipping == pytest.approx(np.mean(error * out), rel=0.05, abs=1e-6)


def layer_stats(steps: int, bins: int = 1024) -> LayerStats:
    random = np.random.default_rng(0)
    x = [random.normal(0, 1 + step, 4000) for step in range(steps)]
    low, high = min(a.min() for a in x), max(a.max() for a in x)
    edges = np.linspace(low, high, bins + 1)
    counts = np.stack([np.histogram(a, edges)[0] for a in x])
    column = {name: np.array([getattr(a, name)() for a in x]) for name in ("min", "max", "std")}
    return LayerStats(
        count=np.full(steps, 4000),
        mean=np.array([a.mean() for a in x]),
        histogram=Histogram(counts, edges),
        channel_min=column["min"][:, None],
        channel_max=column["max"][:, None],
        **column,
    )


def test_one_grid_serves_all_steps_of_a_layer():
    stats = layer_stats(steps=6)
    predicted = predict_sqnr_db(stats, 4)
    assert predicted.shape == (6,)
    clip = (stats.total.min, stats.total.max)
    alone = [float(predict_sqnr_db(stats.at(step), 4, clip=clip)) for step in range(6)]
    np.testing.assert_allclose(predicted, alone, atol=0.05)
    assert predicted[0] < predicted[-1] - 6  # a sixth of the spread wastes the levels


def test_many_histograms_at_once_equal_one_by_one():
    random = np.random.default_rng(0)
    counts = random.integers(0, 50, (3, 4, 64))
    edges = np.sort(random.normal(size=(3, 65)), axis=1)
    scale, zero_point = np.array([0.1, 0.2, 0.3]), np.array([4, 8, 12])
    at_once = noise_power(counts, edges[:, None], scale[:, None], zero_point[:, None], 4)
    for layer in range(3):
        for step in range(4):
            single = noise_power(
                counts[layer, step], edges[layer], scale[layer], zero_point[layer], 4
            )
            assert at_once[layer, step] == pytest.approx(single)


def test_an_empty_histogram_has_no_error():
    assert noise_power(np.zeros(8, dtype=int), np.arange(9.0), 1.0, 0, 4) == 0


def test_a_whole_model_is_predicted_in_a_moment():
    random = np.random.default_rng(0)
    counts = random.integers(0, 100, (130, 50, 1024), dtype=np.uint16)
    edges = np.linspace(-3, 3, 1025)[None, None].repeat(130, 0)
    scale, zero_point = np.full((130, 1), 0.4), np.full((130, 1), 8)
    best = np.inf
    for _ in range(5):
        started = time.perf_counter()
        noise_power(counts, edges, scale, zero_point, 4)
        best = min(best, time.perf_counter() - started)
    assert best < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bits must be 2 to 8"),
        ({"bits": 4, "clip": (2.0, 1.0)}, "from low to high"),
        ({"bits": 4, "clip": (-np.inf, 1.0)}, "finite"),
        ({"bits": 4, "estimator": "none"}, "no range estimator"),
    ],
)
def test_mistakes_are_named(make_stats, options, message):
    with pytest.raises(UserError, match=message):
        predict_sqnr_db(make_stats(np.arange(10.0)), **options)
