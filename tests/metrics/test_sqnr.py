"""SQNR on values that can be worked out by hand."""

import math

import pytest
import torch

from analysis.errors import UserError
from analysis.metrics import sqnr_db


def test_known_values():
    reference = torch.tensor([3.0, 4.0])  # power 25
    assert sqnr_db(reference, reference + 0.5) == pytest.approx(10 * math.log10(50))
    assert sqnr_db(reference, torch.zeros(2)) == pytest.approx(0.0)
    assert sqnr_db(reference, -9 * reference) == pytest.approx(-20.0)


def test_is_not_symmetric_since_only_the_reference_is_signal():
    a, b = torch.tensor([10.0, 0.0]), torch.tensor([9.0, 0.0])
    assert sqnr_db(a, b) == pytest.approx(20.0)
    assert sqnr_db(b, a) == pytest.approx(10 * math.log10(81))


def test_a_scale_on_both_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4, 8, generator=generator)
    b = a + 0.1 * torch.randn(4, 8, generator=generator)
    assert sqnr_db(1e-6 * a, 1e-6 * b) == pytest.approx(sqnr_db(a, b), abs=1e-4)


def test_one_more_bit_gains_six_decibels():
    x = torch.rand(100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = [sqnr_db(x, (x * 2**bits).round() / 2**bits) for bits in (6, 7)]
    assert levels[1] - levels[0] == pytest.approx(20 * math.log10(2), abs=0.05)


def test_sums_in_double():
    # In half precision the sum of squares overflows to infinity.
    reference = torch.full((100_000,), 100.0, dtype=torch.float16)
    assert sqnr_db(reference, reference - 10) == pytest.approx(20.0)


def test_limits():
    zeros, ones = torch.zeros(3), torch.ones(3)
    assert sqnr_db(ones, ones) == math.inf
    assert sqnr_db(zeros, zeros) == math.inf
    assert sqnr_db(zeros, ones) == -math.inf
    assert math.isnan(sqnr_db(ones, torch.full((3,), math.nan)))


def test_refuses_shapes_that_would_broadcast():
    with pytest.raises(UserError, match=r"shapes \[2, 3\] and \[1, 3\]"):
        sqnr_db(torch.ones(2, 3), torch.ones(1, 3))
