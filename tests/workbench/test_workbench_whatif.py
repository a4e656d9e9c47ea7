"""Predictions for all layers against the library, layer by layer, and against values themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.quant.whatif import estimate_range, predict_sqnr_db, qparams_from_range
from analysis.shortcuts import shortcut_report
from tests.workbench.conftest import make_capture
from workbench.captures import OpenCapture
from workbench.whatif import Grid, range_of

SHORTCUT = "up.shortcut"
CAPTURE = OpenCapture("toy", make_capture())
GRIDS = st.builds(
    Grid,
    bits=st.integers(2, 8),
    symmetric=st.booleans(),
    estimator=st.sampled_from(["minmax", "percentile", "lp", "mse", "l1"]),
    keep=st.integers(20, 100),
)


@given(grid=GRIDS)
def test_one_grid_a_layer_is_the_librarys_prediction(grid):
    got = CAPTURE.what_if.sqnr_db(grid)
    for row, name in zip(got, CAPTURE.names, strict=True):
        stats = CAPTURE.capture[name]
        low, high = estimate_range(stats.total, grid.bits, grid.symmetric, grid.estimator)
        clip = low * grid.keep / 100, high * grid.keep / 100
        expected = predict_sqnr_db(stats, grid.bits, grid.symmetric, clip=clip)
        np.testing.assert_allclose(row, expected, rtol=1e-9)


@given(grid=GRIDS, own=GRIDS)
def test_a_layer_with_its_own_grid_leaves_the_others_alone(grid, own):
    plain, alone = CAPTURE.what_if.sqnr_db(grid), CAPTURE.what_if.sqnr_db(own)
    mixed = CAPTURE.what_if.sqnr_db(grid, (("mid.linear", own),))
    np.testing.assert_allclose(mixed[[0, 2]], plain[[0, 2]], rtol=1e-9)
    np.testing.assert_allclose(mixed[1], alone[1], rtol=1e-9)


def values_of(stats, step: int) -> np.ndarray:
    """Values drawn evenly from the bins of a histogram: 1000 for each that was counted."""
    edges = np.clip(stats.histogram.edges, stats.total.min, stats.total.max)
    counts = stats.histogram.counts[step]
    bins = np.repeat(np.arange(counts.size), counts.astype(int))
    random = np.random.default_rng(step)
    return random.uniform(edges[bins], edges[bins + 1], (100, bins.size))


@pytest.mark.parametrize("clip", [(-2.0, 2.0), (-0.5, 3.0), (-0.01, 20.0)])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_drawn_range_costs_what_its_values_lose(clip, bits):
    stats = CAPTURE.capture["conv_in"]
    got = CAPTURE.what_if.sqnr_db(Grid(8), (("conv_in", Grid(bits, clip=clip)),))[0]
    scale, zero_point = (v.astype(np.float64) for v in qparams_from_range(*clip, bits))
    for step in range(4):
        x = values_of(stats, step)
        levels = np.clip(np.rint(x / scale), -zero_point, 2**bits - 1 - zero_point)
        signal = stats.mean[step] ** 2 + stats.std[step] ** 2
        expected = 10 * np.log10(signal / np.mean((x - levels * scale) ** 2))
        assert got[step] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_grid_for_each_half_is_the_split_of_the_report(bits):
    grid = Grid(bits, granularity="per_half")
    got = CAPTURE.what_if.sqnr_db(grid)[2]
    alone = CAPTURE.what_if.sqnr_db(Grid(8), ((SHORTCUT, grid),))[2]
    whole, *halves = (CAPTURE.capture[f"{SHORTCUT}{tap}"] for tap in ("", "#h", "#skip"))
    for step, t in enumerate(CAPTURE.capture.timesteps):
        # The report fits its grids to one timestep; all of this toy's are alike but for chance.
        (report,) = shortcut_report(CAPTURE.capture, float(t))
        power = [s.mean[step] ** 2 + s.std[step] ** 2 for s in (whole, *halves)]
        louder = 10 * np.log10(2 * power[0] / (power[1] + power[2]))  # toy halves make no whole
        assert got[step] - louder == pytest.approx(report.sqnr_db_split[bits], abs=0.2)
    np.testing.assert_allclose(alone, got)
    assert (got > CAPTURE.what_if.sqnr_db(Grid(bits))[2] - 1e-9).all()


def test_halves_change_only_shortcuts():
    whole, halves = (
        CAPTURE.what_if.sqnr_db(Grid(4, granularity=g)) for g in ("per_tensor", "per_half")
    )
    assert (whole[:2] == halves[:2]).all()


def test_grids_per_channel_are_finer():
    whole, channels = (
        CAPTURE.what_if.sqnr_db(Grid(4, granularity=g)) for g in ("per_tensor", "per_channel")
    )
    assert (channels[2] > whole[2] - 0.2).all()
    alone = CAPTURE.what_if.sqnr_db(Grid(8), ((SHORTCUT, Grid(4, granularity="per_channel")),))
    np.testing.assert_allclose(alone[2], channels[2])


def test_asking_changes_nothing_that_is_remembered():
    opened = OpenCapture("toy", make_capture())
    own = ((SHORTCUT, Grid(2)),)
    for granularity in ("per_tensor", "per_half", "per_channel"):
        grid = Grid(4, granularity=granularity)
        before = opened.what_if.sqnr_db(grid).copy()
        opened.what_if.sqnr_db(grid, own)
        assert opened.what_if.sqnr_db(grid).tolist() == before.tolist()


def test_a_drawn_range_counts_before_the_estimator():
    total = CAPTURE.capture["conv_in"].total
    grid = Grid(4, estimator="lp", keep=50)
    low, high = estimate_range(total, 4, False, "lp")
    assert range_of(total, grid) == pytest.approx((low / 2, high / 2))
    assert range_of(total, replace(grid, clip=(-1.0, 2.0))) == (-1.0, 2.0)
