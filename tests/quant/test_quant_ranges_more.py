"""The estimators lp2d, kl, cosine, l1 and mse, against straightforward searches on the tensor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from analysis.quant.grid import mean_bin_error, qparams_from_range
from analysis.quant.primitives import choose_qparams, fake_quantize
from analysis.quant.qparams import act_qparams
from analysis.quant.ranges import get_estimator
from analysis.quant.ranges.cosine import mean_bin_power
from analysis.quant.ranges.kl import divergences
from analysis.quant.ranges.lp2d_losses import grid_losses
from analysis.quant.ranges.search import FACTORS
from analysis.quant.scheme import QuantScheme
from analysis.records import Histogram

SHRUNK = ("mse", "l1", "cosine")


def mse(x, scale, zero_point, bits) -> float:
    return (x - fake_quantize(x, scale, zero_point, bits)).double().square().mean().item()


def naive_shrink(x, bits, symmetric, name):
    """Quantize the tensor under each of the 80 candidates; no estimator's code takes part."""
    best = (np.inf, None)
    for factor in FACTORS:
        ends = x.min().item() * factor, x.max().item() * factor
        grid = [torch.tensor(v) for v in qparams_from_range(*ends, bits, symmetric)]
        x_q = fake_quantize(x, *grid, bits).double()
        loss = {
            "mse": lambda q: (x - q).square().mean().item(),
            "l1": lambda q: (x - q).abs().mean().item(),
            "cosine": lambda q: 1 - torch.cosine_similarity(x.double(), q, dim=0).item(),
        }[name](x_q)
        best = min(best, (loss, grid), key=lambda pair: pair[0])
    return best[1]


def naive_lp2d(x, bits, symmetric, p=2.4):
    """Quantize the tensor under each of 100 widths and every zero point, as published."""
    low, high = x.min().item(), x.max().item()
    top = 2**bits - 1
    if low >= 0 or high <= 0 or symmetric:
        size = max(-low, high) * np.arange(100, 0, -1) / 100
        lows = 0 * size if low >= 0 and not symmetric else -size
        highs = 0 * size if high <= 0 and not symmetric else size
        ends = list(zip(lows, highs, strict=True))
    else:
        scales = (high - low) * np.arange(1, 101) / 100 / top
        ends = [(-z * s, (top - z) * s) for s in scales for z in range(top + 1)]
    grids = [qparams_from_range(lo, hi, bits, symmetric) for lo, hi in ends]
    losses = []
    for scale, zero_point in grids:
        steps = (x / float(scale)).round().clamp(-int(zero_point), top - int(zero_point))
        losses.append((x - steps * float(scale)).abs().pow(p).mean().item())
    return [torch.tensor(v) for v in grids[int(np.argmin(losses))]]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [3, 4, 8])
@pytest.mark.parametrize("name", SHRUNK)
def test_histogram_and_tensor_find_what_the_naive_search_finds(
    values, make_stats, name, bits, symmetric
):
    x = torch.from_numpy(values[:20_000])
    wanted = mse(x, *naive_shrink(x, bits, symmetric, name), bits)
    stats = make_stats(x, bins=2048)
    found = act_qparams(stats, QuantScheme(bits, symmetric, estimator=name))
    searched = choose_qparams(x, bits, symmetric, estimator=name)
    # The least of the criterion is flat where it is not the squared error itself.
    slack = 1.02 if name == "mse" else 1.05
    assert mse(x, *found.tensors(), bits) < wanted * slack
    assert mse(x, *searched, bits) == pytest.approx(wanted, rel=1e-3 if name == "mse" else 0.05)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 5])
def test_lp2d_finds_what_trying_every_zero_point_finds(values, make_stats, bits, symmetric):
    x = torch.from_numpy(values[::20].copy())
    stats = make_stats(x, bins=2048)
    wanted = naive_lp2d(x, bits, symmetric)
    found = act_qparams(stats, QuantScheme(bits, symmetric, estimator="lp2d")).tensors()
    searched = choose_qparams(x, bits, symmetric, estimator="lp2d")
    assert mse(x, *found, bits) < mse(x, *wanted, bits) * 1.02
    assert mse(x, *searched, bits) < mse(x, *wanted, bits) * 1.02


def test_lp2d_finds_it_at_eight_bits(make_stats):
    x = torch.randn(4000, generator=torch.Generator().manual_seed(0)).pow(3) + 0.3
    wanted = mse(x, *naive_lp2d(x, 8, False), 8)
    found = act_qparams(make_stats(x, bins=2048), QuantScheme(8, estimator="lp2d")).tensors()
    assert mse(x, *found, 8) < wanted * 1.02
    assert mse(x, *choose_qparams(x, 8, estimator="lp2d"), 8) < wanted * 1.02


@pytest.mark.parametrize("p", [1.0, 2.0, 2.4])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_all_grids_at_once_equal_the_integral_of_each(values, make_stats, bits, p):
    stats = make_stats(values - np.float32(1.0), bins=2048)
    counts, edges = stats.histogram.counts, stats.histogram.edges
    scale = (stats.max - stats.min) * np.array([0.02, 0.3, 0.77, 1.0]) / (2**bits - 1)
    losses = grid_losses(counts, edges, scale, bits, p)
    assert losses.shape == (4, 2**bits)
    for zero_point in range(0, 2**bits, 2 ** max(bits - 3, 0)):
        each = mean_bin_error(edges, scale, np.full(4, zero_point), bits, p) @ counts
        np.testing.assert_allclose(losses[:, zero_point], each / counts.sum(), rtol=1e-4)


def test_lp2d_moves_the_zero_point_where_shrinking_jointly_cannot():
    """One far outlier below, all else above: the best range ends close to zero below."""
    above = torch.rand(50_000, generator=torch.Generator().manual_seed(0))
    x = torch.cat([above, torch.tensor([-3.0])])
    grids = {name: choose_qparams(x, 4, estimator=name) for name in ("lp", "lp2d")}
    errors = {
        name: (x - fake_quantize(x, *grid, 4)).abs().pow(2.4).mean() for name, grid in grids.items()
    }
    assert errors["lp2d"] < 0.7 * errors["lp"]


@pytest.mark.parametrize(("sign", "low", "high"), [(1, 0, 2), (-1, -2, 0)])
def test_lp2d_of_one_sided_data_starts_at_zero(make_stats, sign, low, high):
    stats = make_stats(sign * np.linspace(0.5, 2, 1000))
    lo, hi = get_estimator("lp2d").of_stats(stats, 8, False)
    assert low <= lo <= hi <= high
    assert 0.0 in (lo, hi)
    lo, hi = get_estimator("lp2d").of_stats(stats, 8, True)
    assert lo == -hi


def test_rows_are_searched_each_on_its_own():
    x = torch.randn(3, 400, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [[1.0], [10.0], [0.1]]
    )
    for name in ("lp2d", "kl", *SHRUNK):
        scale, zero_point = choose_qparams(x, 4, granularity="per_channel", estimator=name)
        for i, row in enumerate(x):
            alone = choose_qparams(row, 4, estimator=name)
            assert scale[i].item() == pytest.approx(alone[0].item(), rel=1e-6), name
            assert zero_point[i] == alone[1], name


def test_mean_power_of_the_levels_in_a_bin():
    """Q over [0, 1] with scale 0.5: 0 below 0.25, 0.5 up to 0.75, then 1."""
    edges = np.array([0.0, 1.0])
    scale = np.array([0.5, 0.5])
    whole = 0.25 * 0 + 0.5 * 0.25 + 0.25 * 1
    clipped = 0.25 * 0 + 0.75 * 0.25
    # Zero points 0 and 2 of a two-bit grid: the second one ends at 0.5.
    found = mean_bin_power(edges, scale, np.array([0, 2]), 2)
    np.testing.assert_allclose(found[:, 0], [whole, clipped])
    mirrored = mean_bin_power(-edges[::-1], scale, np.array([3, 1]), 2)
    np.testing.assert_allclose(mirrored[:, 0], [whole, clipped])


def test_a_tensor_that_would_become_zeros_has_lost_its_direction():
    x = torch.tensor([[0.1, -0.2, 0.1]])
    cosine = get_estimator("cosine")
    assert cosine.row_losses(x, torch.zeros_like(x)).item() == 1
    assert cosine.row_losses(x, 3 * x).item() < 1e-6  # direction is all that counts
    assert cosine.row_losses(0 * x, 0 * x).item() < 1e-6


def test_divergence_by_hand():
    """Four bins 0 .. 4, a two-bit grid of scale 2: bins fall on levels 0, 1, 1 and 2 (half up)."""
    counts, edges = np.array([4.0, 6.0, 2.0, 4.0]), np.arange(5.0)
    found = divergences(counts, edges, np.array([2.0]), np.array([0]), 2)
    p = counts / 16
    q = np.array([4.0, 4.0, 4.0, 4.0]) / 16  # the middle level shares 8 among its two bins
    expected = (p * np.log(p / q)).sum()
    assert found[0] == pytest.approx(expected, rel=2e-3)


def test_divergence_charges_for_clipping(make_stats):
    stats = make_stats(np.random.default_rng(0).standard_normal(100_000), bins=2048)
    scale = np.array([4.0, 2.0, 1.0, 0.4]) / 127
    found = divergences(stats.histogram.counts, stats.histogram.edges, scale, np.full(4, 128), 8)
    assert (np.diff(found[1:]) > 0).all()
    lo, hi = get_estimator("kl").of_stats(stats, 4, False)
    assert stats.min < lo < -1.5
    assert 1.5 < hi < stats.max


def test_kl_of_tensor_and_histogram_agree(values, make_stats):
    x = torch.from_numpy(values)
    of_rows = get_estimator("kl").of_rows(x[None], 6, False)
    of_stats = get_estimator("kl").of_stats(make_stats(x, bins=2048), 6, False)
    assert [v.item() for v in of_rows] == pytest.approx(of_stats, rel=1e-5)


def test_counts_beyond_the_extremes_are_no_trouble(make_stats):
    stats = replace(
        make_stats([-1.0, 2.5]), histogram=Histogram(np.eye(8)[1], np.arange(-4.0, 5.0))
    )
    for name in ("lp2d", "kl", *SHRUNK):
        lo, hi = get_estimator(name).of_stats(stats, 4, False)
        assert np.isfinite([lo, hi]).all()
        assert lo <= 0 <= hi or name == "lp2d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lp2d:0", "p must be above 0"),
        ("lp2d:nan", "p must be above 0"),
        ("kl:3", "'kl' takes no setting"),
        ("mse:2", "'mse' takes no setting"),
        ("lp2d:two", "'lp2d' takes its p, a number"),
    ],
)
def test_settings_that_make_no_sense_are_named(text, message):
    with pytest.raises(UserError, match=message):
        get_estimator(text)
