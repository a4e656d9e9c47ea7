"""Grids by hand, against torch's own kernels, and as properties."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analysis.errors import UserError
from analysis.quant import grid, packing, primitives
from analysis.quant.primitives import choose_qparams, dequantize, fake_quantize, quantize

tensors = arrays(
    np.float32,
    st.integers(1, 40),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
).map(torch.from_numpy)
bit_widths = st.integers(2, 8)


@pytest.mark.parametrize("module", [grid, primitives, packing])
def test_worked_examples_in_docstrings_hold(module):
    result = doctest.testmod(module)
    assert result.attempted >= 2
    assert result.failed == 0


@pytest.mark.parametrize(
    ("values", "bits", "symmetric", "scale", "zero_point"),
    [
        ([-1.0, 2.0], 2, False, 1.0, 1),
        ([-1.0, 14.0], 4, False, 1.0, 1),
        ([-2.55, 0.0], 8, False, 0.01, 255),
        ([5.0, 10.0], 8, False, 10 / 255, 0),  # all positive: the range still holds 0
        ([-10.0, -5.0], 8, False, 10 / 255, 255),
        ([-1.0, 3.0], 3, True, 1.0, 4),
        ([-7.0, 3.0], 4, True, 1.0, 8),
        ([0.0, 127.0], 8, True, 1.0, 128),
        ([0.0, 0.0], 4, False, 1.0, 0),
        ([0.0, 0.0], 4, True, 1.0, 8),
        ([3.0, 3.0], 2, False, 1.0, 0),
    ],
)
def test_scale_and_zero_point_by_hand(values, bits, symmetric, scale, zero_point):
    s, z = choose_qparams(torch.tensor(values), bits, symmetric)
    assert s.item() == pytest.approx(scale, rel=1e-6)
    assert z.item() == zero_point
    assert (s.shape, s.dtype, z.shape, z.dtype) == ((), torch.float32, (), torch.int32)


def test_per_channel_is_per_tensor_of_each_channel():
    x = torch.randn(5, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    scale, zero_point = choose_qparams(x, 4, granularity="per_channel")
    assert scale.shape == zero_point.shape == (5,)
    for channel in range(5):
        s, z = choose_qparams(x[channel], 4)
        assert (scale[channel], zero_point[channel]) == (s, z)


def grids(x: torch.Tensor, bits: int, symmetric: bool, granularity: str):
    scale, zero_point = choose_qparams(x, bits, symmetric, granularity)
    return scale * 0.6, zero_point  # narrower than the data, so that some values are clipped


@pytest.mark.parametrize("wants_gradient", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 8, 16])
def test_fake_quantize_equals_torchs_fused_kernels(bits, symmetric, wants_gradient):
    x = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(bits))
    x = (x * 3 + 1).requires_grad_(wants_gradient)
    top = 2**bits - 1
    s, z = grids(x, bits, symmetric, "per_tensor")
    fused = torch.fake_quantize_per_tensor_affine(x, s, z, 0, top)
    assert torch.equal(fake_quantize(x, s, z, bits), fused)
    s, z = grids(x, bits, symmetric, "per_channel")
    fused = torch.fake_quantize_per_channel_affine(x, s, z, 0, 0, top)
    assert torch.equal(fake_quantize(x, s, z, bits), fused)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_dtypes_stay_what_they_are(dtype):
    x = torch.linspace(-1, 2, 13).to(dtype)
    out = fake_quantize(x, torch.tensor(0.25), torch.tensor(4), 4)
    assert out.dtype == dtype
    assert torch.equal(out.float(), (x.float() * 4).round() / 4)


def test_ties_go_to_the_even_level():
    x = torch.tensor([0.5, 1.5, 2.5, -0.5])
    out = fake_quantize(x, torch.tensor(1.0), torch.tensor(4), 3)
    assert out.tolist() == [0.0, 2.0, 2.0, 0.0]


def test_gradient_passes_inside_the_range_and_stops_outside():
    x = torch.tensor([-9.0, 0.3, 9.0], requires_grad=True)
    fake_quantize(x, torch.tensor(1.0), torch.tensor(2), 2).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_quantize_then_dequantize_is_fake_quantize(bits, granularity):
    x = torch.randn(7, 11, generator=torch.Generator().manual_seed(1))
    s, z = grids(x, bits, False, granularity)
    levels = quantize(x, s, z, bits)
    assert levels.dtype == (torch.uint8 if bits <= 8 else torch.int32)
    assert torch.equal(dequantize(levels, s, z), fake_quantize(x, s, z, bits))


@settings(deadline=None, max_examples=150)
@given(tensors, bit_widths, st.booleans())
def test_error_inside_the_range_is_half_a_step_at_most(x, bits, symmetric):
    s, z = choose_qparams(x, bits, symmetric)
    error = (x - fake_quantize(x, s, z, bits)).abs().max()
    assert error <= s * 0.5 * (1 + 1e-4)  # the scale itself is rounded to float32


@settings(deadline=None, max_examples=100)
@given(tensors, bit_widths, st.booleans(), st.sampled_from(["minmax", "lp", "percentile:90"]))
def test_zero_is_a_level(x, bits, symmetric, estimator):
    s, z = choose_qparams(x, bits, symmetric, estimator=estimator)
    assert s > 0
    assert 0 <= z <= 2**bits - 1
    assert fake_quantize(torch.zeros(3), s, z, bits).tolist() == [0.0, 0.0, 0.0]


@settings(deadline=None, max_examples=100)
@given(tensors, st.booleans())
def test_more_bits_never_make_the_step_longer(x, symmetric):
    scales = [choose_qparams(x, bits, symmetric)[0].item() for bits in range(2, 9)]
    if x.abs().max() > 1e-30:  # below, the step is 1 by convention
        assert scales == sorted(scales, reverse=True)


@settings(deadline=None, max_examples=100)
@given(tensors, bit_widths)
def test_rounding_again_changes_nothing(x, bits):
    s, z = choose_qparams(x, bits)
    once = fake_quantize(x, s, z, bits)
    assert torch.equal(fake_quantize(once, s, z, bits), once)


@pytest.mark.parametrize("x", [torch.full((9,), 1e-45), torch.full((9,), -3e-39)])
def test_values_too_small_for_a_step_become_zero(x):
    s, z = choose_qparams(x, 8)
    assert torch.isfinite(1 / s)
    assert torch.equal(fake_quantize(x, s, z, 8), torch.zeros(9))


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (torch.tensor([1.0, float("nan")]), {}, "NaN or infinite"),
        (torch.tensor([1.0, float("inf")]), {}, "NaN or infinite"),
        (torch.empty(0, 3), {}, "empty tensor"),
        (torch.arange(3), {}, "only floating tensors"),
        (torch.tensor(1.0), {"granularity": "per_channel"}, "no channels"),
        (torch.ones(3), {"granularity": "per_row"}, "per_tensor or per_channel"),
        (torch.ones(3), {"estimator": "guess"}, "no range estimator named 'guess'"),
        (torch.ones(3), {"bits": 32}, "float"),
        (torch.ones(3), {"bits": 0}, "^bits must be 2 to 8, or 32 for float; got 0$"),
        (torch.ones(3), {"bits": 1}, "^bits must be 2 to 8, or 32 for float; got 1$"),
        (torch.ones(3), {"bits": 33}, "^bits must be 2 to 8, or 32 for float; got 33$"),
        (torch.ones(3), {"bits": True}, "bits must be 2 to 8"),
        (torch.ones(3), {"bits": 4.0}, "bits must be 2 to 8"),
    ],
)
def test_mistakes_are_named(x, options, message):
    with pytest.raises(UserError, match=message):
        choose_qparams(x, **{"bits": 8, **options})


def test_scales_that_do_not_fit_the_tensor_are_named():
    with pytest.raises(UserError, match=r"\[3\] do not fit a tensor of shape \[2, 5\]"):
        fake_quantize(torch.ones(2, 5), torch.ones(3), torch.zeros(3), 4)
