"""Two grids for one layer, against two tensors quantized apart by torch's own kernels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from analysis.quant.modules import FakeQuantize, QuantConv2d
from analysis.quant.primitives import choose_qparams
from analysis.quant.qparams import QParams, weight_qparams
from analysis.quant.scheme import QuantScheme
from analysis.quant.split import (
    split_act_qparams,
    split_weight_qparams,
    spread_activation,
    spread_weight,
)

SEAM, CHANNELS = 5, 8
SCALE, ZERO = torch.tensor([0.4, 0.05]), torch.tensor([9, 4], dtype=torch.int32)


def two_humps(seed: int = 0, size: int = 6) -> torch.Tensor:
    """x [2, 8, size, size] whose first five channels reach eight times as far as the rest."""
    x = torch.randn(2, CHANNELS, size, size, generator=torch.Generator().manual_seed(seed))
    x[:, :SEAM] *= 8
    return x


def apart(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Both halves through torch's fused kernel, concatenated."""
    parts = zip((x[:, :SEAM], x[:, SEAM:]), SCALE, ZERO, strict=True)
    rounded = [
        torch.fake_quantize_per_tensor_affine(part, s, z, 0, 2**bits - 1) for part, s, z in parts
    ]
    return torch.cat(rounded, dim=1)


def weight_apart(weight: torch.Tensor, bits: int, estimator: str = "minmax") -> torch.Tensor:
    """Both slices of a weight, each row of each on a grid of its own."""
    parts = []
    for part in (weight[:, :SEAM].detach(), weight[:, SEAM:].detach()):
        s, z = choose_qparams(part, bits, False, "per_channel", estimator)
        parts.append(torch.fake_quantize_per_channel_affine(part, s, z, 0, 0, 2**bits - 1))
    return torch.cat(parts, dim=1)


def make_twin(bits: int = 4, **options) -> tuple[nn.Conv2d, QuantConv2d]:
    torch.manual_seed(0)
    conv = nn.Conv2d(CHANNELS, 7, **{"kernel_size": 3, "padding": 1, **options})
    weight = split_weight_qparams(conv.weight, SEAM, QuantScheme(bits, False, "per_channel"))
    act = QParams(bits, SCALE.numpy(), ZERO.numpy(), SEAM)
    return conv, QuantConv2d.from_float(conv, weight, act)


@given(data=st.data(), channels=st.integers(2, 40))
def test_spreading_gives_each_channel_the_number_of_its_half(data, channels):
    seam = data.draw(st.integers(1, channels - 1))
    rows = data.draw(st.integers(1, 5))
    kernel = data.draw(st.sampled_from([(1, 1), (3, 3), (1, 3)]))
    numbers = torch.randn(rows, 2)
    spread = spread_activation(numbers[0], seam, channels)
    assert spread.shape == (1, channels, 1, 1)
    expected = np.repeat(numbers[0].numpy(), [seam, channels - seam])
    np.testing.assert_array_equal(spread.flatten().numpy(), expected)
    wide = spread_weight(numbers, seam, (rows, channels, *kernel))
    assert wide.shape == (rows, channels, 1, 1)
    expected = np.repeat(numbers.numpy(), [seam, channels - seam], axis=1)
    np.testing.assert_array_equal(wide[:, :, 0, 0].numpy(), expected)


@given(seam=st.integers(1, 6), channels=st.integers(7, 12))
def test_gradients_gather_where_the_numbers_were_spread(seam, channels):
    act, weight = torch.ones(2, requires_grad=True), torch.ones(3, 2, requires_grad=True)
    spread_activation(act, seam, channels).sum().backward()
    spread_weight(weight, seam, (3, channels, 1, 1)).sum().backward()
    assert act.grad.tolist() == [seam, channels - seam]
    assert weight.grad.tolist() == [[seam, channels - seam]] * 3


@given(
    seed=st.integers(0, 2**16),
    seam=st.integers(1, 11),
    width=st.floats(0.01, 100),
    bits=st.integers(2, 8),
    symmetric=st.booleans(),
)
def test_a_halfs_scale_is_never_above_the_joint_one(seed, seam, width, bits, symmetric):
    """Of activations [N, C] and of every row of a weight; the second half is `width` as wide."""
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(seed)) + 0.3
    x[:, seam:] *= width
    joint, _ = choose_qparams(x, bits, symmetric)
    halves = [choose_qparams(part, bits, symmetric)[0] for part in (x[:, :seam], x[:, seam:])]
    assert max(halves) <= joint * (1 + 1e-6)
    scheme = QuantScheme(bits, symmetric, "per_channel")
    apart = torch.from_numpy(split_weight_qparams(x, seam, scheme).scale)  # [6, 2]
    rows = torch.from_numpy(weight_qparams(x, scheme).scale).view(-1, 1)
    assert (apart <= rows * (1 + 1e-6)).all()


@pytest.mark.parametrize("seam", [0, -1, CHANNELS, CHANNELS + 1])
def test_a_seam_outside_the_channels_is_refused(seam):
    with pytest.raises(ValueError, match="cuts nothing off 8 channels"):
        spread_activation(SCALE, seam, CHANNELS)
    with pytest.raises(ValueError, match="cuts nothing off 8 channels"):
        spread_weight(SCALE[None], seam, (1, CHANNELS, 1, 1))


@pytest.mark.parametrize(
    ("shape", "seam"), [((2, 2), None), ((3, 3), 4), ((), 4), ((3,), 4), ((1, 1, 2), 4)]
)
def test_numbers_that_do_not_fit_the_seam_are_refused(shape, seam):
    with pytest.raises(ValueError, match="are no grid with the seam"):
        QParams(4, np.ones(shape, np.float32), np.ones(shape, np.int32), seam)
    with pytest.raises(ValueError, match="are no grid"):
        QParams(4, np.ones(2, np.float32), np.ones(3, np.int32))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_input_is_rounded_as_its_halves_would_be_apart(bits, layout):
    x = two_humps().to(memory_format=layout)
    before = x.clone()
    quantizer = FakeQuantize(bits, SCALE, ZERO, SEAM, CHANNELS)
    assert torch.equal(quantizer(x), apart(x, bits))
    assert quantizer(x).stride() == x.stride()
    assert torch.equal(x, before)


def test_the_path_with_gradients_gives_the_same_numbers():
    x = two_humps().requires_grad_()
    quantizer = FakeQuantize(4, SCALE, ZERO, SEAM, CHANNELS)
    out = quantizer(x)
    assert torch.equal(out, quantizer(x.detach()))
    out.sum().backward()
    expected = two_humps().requires_grad_()
    apart(expected, 4).sum().backward()
    assert torch.equal(x.grad, expected.grad)
    assert 0 < x.grad.mean() < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_rounded_as_their_halves_would_be_apart(dtype):
    x = two_humps().to(dtype)
    rounded = FakeQuantize(4, SCALE, ZERO, SEAM, CHANNELS)(x)
    assert rounded.dtype == dtype
    assert torch.equal(rounded, apart(x, 4))


def test_the_grid_of_a_quantizer_meets_its_input():
    split = FakeQuantize(4, SCALE, ZERO, SEAM, CHANNELS)
    assert torch.equal(split.grid()[0], spread_activation(SCALE, SEAM, CHANNELS))
    assert torch.equal(split.grid()[1], spread_activation(ZERO, SEAM, CHANNELS))
    whole = FakeQuantize(4, SCALE[0], ZERO[0])
    assert [g.shape for g in whole.grid()] == [(), ()]
    with pytest.raises(RuntimeError, match="no scale yet"):
        FakeQuantize(4).grid()
    with pytest.raises(ValueError, match="needs the number of channels"):
        FakeQuantize(4, SCALE, ZERO, SEAM)


def test_numbers_loaded_into_a_quantizer_take_effect():
    split = FakeQuantize(4, SCALE, ZERO, SEAM, CHANNELS)
    other = copy.deepcopy(split)
    assert set(split.state_dict()) == {"scale", "zero_point"}
    other.load_state_dict({"scale": SCALE * 3, "zero_point": ZERO - 2})
    x = two_humps()
    assert torch.equal(other(x), FakeQuantize(4, SCALE * 3, ZERO - 2, SEAM, CHANNELS)(x))
    assert torch.equal(split(x), apart(x, 4))
    assert repr(split) == "FakeQuantize(bits=4, calibrated=True, seam=5)"


@pytest.mark.parametrize("estimator", ["minmax", "lp", "percentile:99"])
def test_a_weight_is_rounded_as_its_slices_would_be_apart(estimator):
    torch.manual_seed(1)
    conv = nn.Conv2d(CHANNELS, 7, 3)
    scheme = QuantScheme(4, False, "per_channel", estimator)
    grid = split_weight_qparams(conv.weight, SEAM, scheme)
    assert grid.scale.shape == grid.zero_point.shape == (7, 2)
    twin = QuantConv2d.from_float(conv, grid, None)
    assert torch.equal(twin.weight, weight_apart(conv.weight, 4, estimator))


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_integers_of_a_split_weight_come_back(bits, layout):
    torch.manual_seed(bits)
    conv = nn.Conv2d(CHANNELS, 7, 3).to(memory_format=layout)
    grid = split_weight_qparams(conv.weight, SEAM, QuantScheme(bits, False, "per_channel"))
    twin = QuantConv2d.from_float(conv, grid, None)
    scale, zero_point = twin.weight_grid()
    assert scale.shape == zero_point.shape == (7, CHANNELS, 1, 1)
    levels = twin.weight_levels().int()
    assert torch.equal((levels - zero_point).float() * scale, twin.weight)
    direct = (conv.weight / scale).round() + zero_point
    assert (levels - direct.clamp(0, 2**bits - 1)).abs().max() <= 1  # x / s against x * (1 / s)
    assert (levels == direct).float().mean() > 0.9
    assert twin.weight.stride() == conv.weight.stride()


def test_the_grid_of_a_whole_weight_meets_it_too():
    conv = nn.Conv2d(CHANNELS, 7, 3)
    s, z = choose_qparams(conv.weight, 4, granularity="per_channel")
    whole = QuantConv2d.from_float(conv, QParams(4, s.numpy(), z.numpy()), None)
    assert [g.shape for g in whole.weight_grid()] == [(7, 1, 1, 1)] * 2
    assert torch.equal(whole.weight_grid()[0].flatten(), s)
    with pytest.raises(RuntimeError, match="this weight is float"):
        QuantConv2d.from_float(conv, None, None).weight_grid()


@pytest.mark.parametrize("options", [{}, {"kernel_size": 1, "padding": 0, "bias": False}])
def test_a_split_convolution_is_the_sum_of_two(options):
    conv, twin = make_twin(**options)
    x = two_humps()
    rounded, weight, padding = apart(x, 4), weight_apart(conv.weight, 4), conv.padding
    h = nn.functional.conv2d(rounded[:, :SEAM], weight[:, :SEAM], conv.bias, padding=padding)
    skip = nn.functional.conv2d(rounded[:, SEAM:], weight[:, SEAM:], padding=padding)
    torch.testing.assert_close(twin(x), h + skip, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(twin(x), conv(x), rtol=1e-3)


def test_the_halves_of_an_input_get_the_grids_of_their_statistics(make_stats):
    x = two_humps(size=40)
    grid = split_act_qparams(make_stats(x[:, :SEAM]), make_stats(x[:, SEAM:]), SEAM, QuantScheme(4))
    assert grid.seam == SEAM
    for part, scale, zero in zip(
        (x[:, :SEAM], x[:, SEAM:]), grid.scale, grid.zero_point, strict=True
    ):
        s, z = choose_qparams(part, 4)
        assert scale == pytest.approx(float(s), rel=1e-6)
        assert zero == int(z)
