"""Range estimators, on tensors and on histograms of the same tensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from analysis.quant.primitives import choose_qparams, fake_quantize
from analysis.quant.qparams import act_qparams, weight_qparams
from analysis.quant.ranges import ESTIMATORS, get_estimator
from analysis.quant.ranges.search import FACTORS
from analysis.quant.scheme import QuantScheme
from analysis.records import Histogram


def mean_error(x, scale, zero_point, bits, power=2.0) -> float:
    return (x - fake_quantize(x, scale, zero_point, bits)).abs().pow(power).double().mean().item()


def test_the_candidates_are_eighty_from_one_to_a_fifth():
    assert len(FACTORS) == 80
    assert FACTORS[0] == 1.0
    assert FACTORS[-1] == pytest.approx(0.21)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [3, 4, 6, 8])
@pytest.mark.parametrize("estimator", ["lp", "lp:2"])
def test_a_histogram_finds_as_good_a_range_as_the_tensor(
    values, make_stats, bits, symmetric, estimator
):
    x = torch.from_numpy(values)
    searched = choose_qparams(x, bits, symmetric, estimator=estimator)
    found = act_qparams(make_stats(values), QuantScheme(bits, symmetric, estimator=estimator))
    power = get_estimator(estimator).p
    ratio = mean_error(x, *found.tensors(), bits, power) / mean_error(x, *searched, bits, power)
    assert ratio < 1.02


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_search_equals_trying_every_candidate_one_by_one(bits):
    w = torch.randn(3, 200, generator=torch.Generator().manual_seed(0)).pow(3)
    scale, _ = choose_qparams(w, bits, granularity="per_channel", estimator="lp")
    for row, chosen in zip(w, scale, strict=True):
        errors = []
        for factor in FACTORS.tolist():
            s, z = choose_qparams(torch.stack([row.min(), row.max()]) * factor, bits)
            errors.append((mean_error(row, s, z, bits, 2.4), s.item()))
        assert chosen.item() == pytest.approx(min(errors)[1], rel=1e-6)


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_lp_never_loses_against_minmax_in_its_own_measure(values, bits):
    x = torch.from_numpy(values)
    errors = [
        mean_error(x, *choose_qparams(x, bits, estimator=name), bits, 2.4)
        for name in ("lp", "minmax")
    ]
    assert errors[0] <= errors[1] * (1 + 1e-6)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("percentile", [99.0, 99.9])
def test_percentile_cuts_the_share_it_promises(values, make_stats, percentile, symmetric):
    text = f"percentile:{percentile}"
    lo, hi = get_estimator(text).of_rows(torch.from_numpy(values)[None], 8, symmetric)
    low, high = get_estimator(text).of_stats(make_stats(values), 8, symmetric)
    width = float(values.max() - values.min()) / 1024
    assert lo.item() == pytest.approx(low, abs=1.5 * width)
    assert hi.item() == pytest.approx(high, abs=1.5 * width)
    outside = np.mean((values < lo.item()) | (values > hi.item()))
    share = 1 - percentile / 100
    assert outside == pytest.approx(share if symmetric else 2 * share, rel=0.1)


def test_percentile_100_is_minmax(values, make_stats):
    stats = make_stats(values)
    lo, hi = get_estimator("percentile:100").of_stats(stats, 8, False)
    assert (lo, hi) == pytest.approx((stats.min, stats.max))


def test_percentile_matches_numpy_on_rows():
    x = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))
    lo, hi = get_estimator("percentile:98").of_rows(x, 8, False)
    np.testing.assert_allclose(hi, np.quantile(x.numpy(), 0.98, axis=1), rtol=1e-5)
    np.testing.assert_allclose(lo, np.quantile(x.numpy(), 0.02, axis=1), rtol=1e-5)


@pytest.mark.parametrize("estimator", list(ESTIMATORS))
@pytest.mark.parametrize("constant", [0.0, 2.5, -2.5])
def test_constants_and_single_values_get_a_finite_range(estimator, constant, make_stats):
    x = torch.full((2, 30), constant)
    for rows in (x, x[:, :1]):
        grid = weight_qparams(rows, QuantScheme(8, False, "per_channel", estimator))
        assert np.isfinite(grid.scale).all()
        error = (rows - fake_quantize(rows, *grid.tensors(), 8)).abs().max()
        assert error <= grid.scale.max() / 2
    found = act_qparams(make_stats(x), QuantScheme(8, estimator=estimator))
    error = (x - fake_quantize(x, *found.tensors(), 8)).abs().max()
    assert error <= found.scale / 2 * 1.0001


def test_the_search_trusts_extremes_more_than_bins(make_stats):
    """All values are 2.5, which the bin [2, 3] does not tell, but min and max do."""
    stats = replace(make_stats([2.5]), histogram=Histogram(np.eye(8)[6], np.arange(-4.0, 5.0)))
    assert get_estimator("lp").of_stats(stats, 4, False) == (0.0, 2.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "entropia",
            "no range estimator named 'entropia'; choose one of: cosine, kl, l1, lp, lp2d",
        ),
        ("minmax:3", "'minmax' takes no setting"),
        ("percentile:many", "'percentile' takes its percentile, a number"),
        ("percentile:", "'percentile' takes its percentile, a number"),
        ("percentile:40", "above 50 and at most 100; got 40"),
        ("percentile:nan", "above 50 and at most 100; got nan"),
        ("lp:0", "p must be above 0"),
    ],
)
def test_unknown_estimators_and_settings_are_named(text, message):
    with pytest.raises(UserError, match=message):
        get_estimator(text)
