"""What a split gains: against the report on shortcuts, and against torch's own rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from analysis.quant.primitives import fake_quantize
from analysis.quant.scheme import QuantScheme
from analysis.quant.split import halves, on_weight, split_weight_qparams
from analysis.shortcut_split import activation_gain, weight_gain
from analysis.shortcuts import BITS, shortcut_report
from tests.test_shortcuts import capture_of, half

SEAM = 6


@pytest.fixture
def capture():
    return capture_of([half(16, 100)], [half(24, 10, seed=1)])


def test_activations_agree_with_the_report(capture):
    (report,) = shortcut_report(capture)
    gain = activation_gain(capture, capture.shortcuts[0], 0)
    for bits in BITS:
        assert gain.whole.one[bits] == pytest.approx(report.sqnr_db_joint[bits])
        assert gain.whole.two[bits] == pytest.approx(report.sqnr_db_split[bits])
        assert gain.skip.one[bits] == pytest.approx(report.sqnr_db_small_half_joint[bits])
        assert gain.skip.two[bits] == pytest.approx(report.sqnr_db_small_half_split[bits])


def test_the_wide_half_gains_nothing_from_a_second_scale(capture):
    gain = activation_gain(capture, capture.shortcuts[0], 0)
    for bits in BITS:
        assert gain.h.two[bits] == pytest.approx(gain.h.one[bits], abs=0.1)
        assert gain.skip.two[bits] > gain.skip.one[bits] + 6


def sqnr(x: torch.Tensor, x_q: torch.Tensor) -> float:
    x, x_q = x.double(), x_q.double()
    return float(10 * torch.log10((x**2).sum() / ((x - x_q) ** 2).sum()))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_agree_with_torch(bits):
    torch.manual_seed(0)
    weight = torch.randn(8, 10, 3, 3)
    weight[:, SEAM:] *= 0.1
    gain = weight_gain(weight.numpy(), SEAM)
    scheme = QuantScheme(bits, granularity="per_channel")
    grids = split_weight_qparams(weight, SEAM, scheme)

    def rounded(part, scale, zero_point):
        return fake_quantize(part, scale, zero_point, bits)

    numbers = torch.tensor(grids.scale), torch.tensor(grids.zero_point)
    split = on_weight(rounded, weight, *numbers, SEAM)
    ends = weight.flatten(1)
    scale = (ends.amax(1) - ends.amin(1)) / (2**bits - 1)
    zero_point = torch.round(-ends.amin(1) / scale).int()
    joint = rounded(weight, scale, zero_point)
    assert gain.whole.two[bits] == pytest.approx(sqnr(weight, split), abs=0.01)
    assert gain.whole.one[bits] == pytest.approx(sqnr(weight, joint), abs=0.01)
    for part, found in enumerate((gain.h, gain.skip)):
        own, with_one = halves(weight, SEAM)[part], halves(joint, SEAM)[part]
        assert found.one[bits] == pytest.approx(sqnr(own, with_one), abs=0.01)
        assert found.two[bits] == pytest.approx(sqnr(own, halves(split, SEAM)[part]), abs=0.01)


@pytest.mark.parametrize("seam", [0, 10, -1])
def test_a_seam_must_cut_something_off(seam):
    with pytest.raises(UserError, match="cannot be split at"):
        weight_gain(np.ones((8, 10, 1, 1)), seam)
