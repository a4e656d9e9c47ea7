"""How bimodal a joined input is: against hand-worked numbers, diptest, and rounding itself."""

from __future__ import annotations

import math

import diptest
import numpy as np
import pytest

from analysis.errors import UserError
from analysis.records import (
    ActivationStats,
    Capture,
    Histogram,
    LayerRef,
    LayerStats,
    SamplingSpec,
    Shortcut,
)
from analysis.shortcuts import BITS, ashman_d, reach, shortcut_report

LAYER = "up.conv_shortcut"


def stats_of(halves: list[np.ndarray], bins: int = 2048) -> LayerStats:
    """Statistics of data [C, M], one array a step."""
    low, high = min(x.min() for x in halves), max(x.max() for x in halves)
    counts, edges = [], np.linspace(low - 1e-9, high + 1e-9, bins + 1)
    for x in halves:
        counts.append(np.histogram(x, edges)[0])
    return LayerStats(
        count=np.array([x.size for x in halves]),
        min=np.array([x.min() for x in halves]),
        max=np.array([x.max() for x in halves]),
        mean=np.array([x.mean() for x in halves]),
        std=np.array([x.std() for x in halves]),
        histogram=Histogram(np.array(counts), edges),
        channel_min=np.array([x.min(axis=1) for x in halves]),
        channel_max=np.array([x.max(axis=1) for x in halves]),
    )


def capture_of(h: list[np.ndarray], skip: list[np.ndarray]) -> Capture:
    """A capture of one joined input, [C_h, M] and [C_skip, M] at each step."""
    joined = [np.concatenate(pair) for pair in zip(h, skip, strict=True)]
    refs = [LayerRef(LAYER, "conv")]
    refs += [LayerRef(f"{LAYER}#{tap}", "half", tap) for tap in ("h", "skip")]
    return Capture(
        model="synthetic",
        model_digest="",
        spec=SamplingSpec(len(h), 1, 0, "ddim"),
        layers=tuple(refs),
        timesteps=np.arange(10 * len(h), 0, -10, dtype=np.float64),
        stats=tuple(stats_of(half) for half in (joined, h, skip)),
        shortcuts=(Shortcut(LAYER, len(h[0]), len(skip[0])),),
    )


def half(channels: int, range_: float, seed: int = 0) -> np.ndarray:
    """Uniform data [C, 4000] whose range is exactly `range_`, each channel nearly as wide."""
    random = np.random.default_rng(seed)
    x = random.uniform(-0.5, 0.5, (channels, 4000)) * random.uniform(0.8, 1, (channels, 1))
    x[0, 0], x[0, 1] = -0.5, 0.5
    return x * range_


def rounding_sqnr(x: np.ndarray, low: float, high: float, bits: int) -> float:
    """SQNR in dB of rounding x itself to 2^bits even levels over [low, high], 0 among them."""
    scale = (high - low) / (2**bits - 1)
    zero = np.clip(np.rint(-low / scale), 0, 2**bits - 1)
    rounded = (np.clip(np.rint(x / scale) + zero, 0, 2**bits - 1) - zero) * scale
    return 10 * math.log10((x**2).sum() / ((x - rounded) ** 2).sum())


def test_ashmans_d_by_hand():
    # Means 1 and 6, variances 1 and 4: sqrt(2) * 5 / sqrt(5) = sqrt(10).
    a, b = np.array([0.0, 2.0]), np.array([4.0, 8.0])
    assert ashman_d(a, b) == pytest.approx(math.sqrt(10))
    assert ashman_d(b, a) == ashman_d(a, b)


def test_ashmans_d_of_what_does_not_spread():
    assert ashman_d(np.ones(3), np.ones(3)) == 0.0
    assert ashman_d(np.ones(3), np.zeros(3)) == math.inf


def test_reach_is_the_binary_logarithm_of_the_largest_magnitude():
    stats = ActivationStats(
        count=1,
        min=-8.0,
        max=4.0,
        mean=0.0,
        std=1.0,
        histogram=Histogram(np.ones(1), np.array([-8.0, 4.0])),
        channel_min=np.array([-8.0, 0.0, 0.0], dtype=np.float32),
        channel_max=np.array([4.0, 0.5, 0.0], dtype=np.float32),
    )
    assert reach(stats)[:2].tolist() == [3.0, -1.0]
    assert math.isfinite(reach(stats)[2])


def test_ranges_of_100_and_10_are_two_humps():
    capture = capture_of([half(16, 100)], [half(24, 10, seed=1)])
    (report,) = shortcut_report(capture)
    assert report.bimodal
    assert report.range_h == pytest.approx(100)
    assert report.range_skip == pytest.approx(10)
    assert report.range_ratio == pytest.approx(10)
    assert report.ashman_d > 2
    assert report.dip_p < 0.05
    assert (report.channels_h, report.channels_skip) == (16, 24)
    for bits in BITS:
        assert report.sqnr_db_small_half_split[bits] > report.sqnr_db_small_half_joint[bits]
        assert report.sqnr_db_split[bits] >= report.sqnr_db_joint[bits]


def test_equal_halves_are_one_hump():
    capture = capture_of([half(24, 10)], [half(24, 10, seed=1)])
    (report,) = shortcut_report(capture)
    assert not report.bimodal
    assert report.range_ratio == pytest.approx(1)
    assert report.ashman_d < 2
    for bits in BITS:
        assert report.sqnr_db_split[bits] == pytest.approx(report.sqnr_db_joint[bits], abs=0.1)


def test_one_criterion_alone_does_not_make_two_humps():
    # From 1 to 256 without a gap: the halves lie apart, but nothing dips between them.
    slope = half(48, 1) * 2 ** np.linspace(0, 8, 48)[:, None]
    even = shortcut_report(capture_of([slope[24:]], [slope[:24]]))[0]
    assert even.ashman_d > 2
    assert even.dip_p > 0.05
    assert not even.bimodal
    # Two humps in each half alike: the dip is deep, but it does not lie between the halves.
    mixed = np.concatenate([half(20, 100), half(20, 1, seed=1)])
    both = shortcut_report(capture_of([mixed], [mixed[::-1]]))[0]
    assert both.dip_p < 0.05
    assert both.ashman_d < 2
    assert not both.bimodal


def test_the_dip_is_diptests():
    h, skip = half(16, 100), half(24, 10, seed=1)
    (report,) = shortcut_report(capture_of([h], [skip]))
    largest = np.abs(np.concatenate([h, skip])).max(axis=1)
    dip, p = diptest.diptest(np.log2(largest))
    assert report.dip == pytest.approx(dip)
    assert report.dip_p == pytest.approx(p)


@pytest.mark.parametrize("bits", BITS)
def test_sqnr_is_that_of_rounding_the_values(bits):
    h, skip = half(16, 100), half(24, 10, seed=1)
    (report,) = shortcut_report(capture_of([h], [skip]))
    both = np.concatenate([h, skip])
    limits = (both.min(), both.max())
    own = (skip.min(), skip.max())
    joint = rounding_sqnr(both, *limits, bits)
    assert report.sqnr_db_joint[bits] == pytest.approx(joint, abs=0.2)
    alone = rounding_sqnr(skip, *own, bits)
    assert report.sqnr_db_small_half_split[bits] == pytest.approx(alone, abs=0.2)
    under_both = rounding_sqnr(skip, *limits, bits)
    assert report.sqnr_db_small_half_joint[bits] == pytest.approx(under_both, abs=0.2)


def test_the_small_half_is_whichever_is_narrower():
    wide, narrow = half(16, 100), half(24, 10, seed=1)
    one = shortcut_report(capture_of([wide], [narrow]))[0]
    other = shortcut_report(capture_of([narrow], [wide]))[0]
    assert one.range_ratio == other.range_ratio
    assert one.sqnr_db_small_half_split == other.sqnr_db_small_half_split
    assert one.sqnr_db_small_half_joint == pytest.approx(other.sqnr_db_small_half_joint)


def test_a_half_that_is_constant_has_no_range():
    (report,) = shortcut_report(capture_of([half(8, 10)], [np.zeros((8, 4000))]))
    assert report.range_skip == 0
    assert report.range_ratio == math.inf


class TestTimestep:
    capture = capture_of([half(8, r) for r in (1.0, 2.0, 4.0)], [half(8, 1.0, seed=1)] * 3)

    def test_the_middle_of_the_run_is_the_default(self):
        assert self.capture.timesteps.tolist() == [30, 20, 10]
        assert shortcut_report(self.capture)[0].timestep == 20
        assert shortcut_report(self.capture)[0].range_h == pytest.approx(2)

    @pytest.mark.parametrize(("timestep", "range_h"), [(30, 1), (20.0, 2), (10, 4)])
    def test_any_that_was_visited_will_do(self, timestep, range_h):
        (report,) = shortcut_report(self.capture, timestep)
        assert report.timestep == timestep
        assert report.range_h == pytest.approx(range_h)

    @pytest.mark.parametrize("timestep", [0, 15, -10, 31, math.nan, math.inf])
    def test_another_is_refused(self, timestep):
        with pytest.raises(UserError) as refused:
            shortcut_report(self.capture, timestep)
        assert str(refused.value) == (
            f"Timestep {timestep:g} was not visited; the run went from 30 to 10 in 3 steps."
        )


def test_a_capture_without_shortcuts_is_refused(ddpm):
    from analysis.capture.run import capture

    alone = capture(ddpm, steps=2, samples=1, layers="conv_in")
    with pytest.raises(UserError) as refused:
        shortcut_report(alone)
    assert str(refused.value) == (
        "This capture holds no concatenated shortcut: the model has none, or --layers left them "
        "out; capture with all layers."
    )


@pytest.mark.parametrize("layers", [None, "*#h", "*conv_shortcut", "up_blocks.1.*"])
def test_a_real_capture_has_a_report_for_each_of_its_shortcuts(ddpm, layers):
    from analysis.capture.run import capture

    done = capture(ddpm, steps=2, samples=2, layers=layers)
    reports = shortcut_report(done)
    expected = [s for s in ddpm.shortcuts if layers != "up_blocks.1.*" or "blocks.1" in s.layer]
    assert [r.layer for r in reports] == [s.layer for s in expected]
    for report, shortcut in zip(reports, expected, strict=True):
        h = done[f"{shortcut.layer}#h"].at(1)
        assert report.range_h == h.max - h.min
        assert report.channels_h == shortcut.channels_h
        assert report.range_ratio >= 1
        assert set(report.sqnr_db_joint) == set(BITS)


def test_bits_can_be_chosen(ddpm_capture):
    assert list(shortcut_report(ddpm_capture, bits=[4])[0].sqnr_db_split) == [4]
