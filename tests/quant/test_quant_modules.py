"""Simulated layers against the float layers they stand for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.quant.modules import FakeQuantize, QuantConv2d, QuantLinear
from analysis.quant.primitives import dequantize, fake_quantize
from analysis.quant.qparams import QParams, weight_qparams
from analysis.quant.scheme import QuantScheme

CONVS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": (1, 3), "stride": (2, 1), "padding": "valid", "bias": False},
    {"kernel_size": 3, "groups": 2, "dilation": 2, "padding": 2, "padding_mode": "reflect"},
]


def grid(weight: torch.Tensor, bits: int = 4) -> QParams:
    return weight_qparams(weight, QuantScheme(bits, False, "per_channel"))


def act_grid(bits: int = 8) -> QParams:
    return QParams(bits, torch.tensor(0.05).numpy(), torch.tensor(100).numpy())


@pytest.mark.parametrize("options", CONVS)
def test_a_convolution_is_the_float_one_on_rounded_numbers(options):
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 6, **options)
    x = torch.randn(2, 4, 9, 9)
    twin = QuantConv2d.from_float(conv, grid(conv.weight), act_grid())
    s, z = grid(conv.weight).tensors()
    by_hand = nn.Conv2d(4, 6, **options)
    by_hand.weight = nn.Parameter(fake_quantize(conv.weight.detach(), s, z, 4))
    by_hand.bias = conv.bias
    expected = by_hand(fake_quantize(x, *act_grid().tensors(), 8))
    assert torch.equal(twin(x), expected)
    assert not torch.equal(twin(x), conv(x))


def test_a_linear_map_is_the_float_one_on_rounded_numbers():
    torch.manual_seed(0)
    linear = nn.Linear(5, 7)
    x = torch.randn(2, 3, 5)
    twin = QuantLinear.from_float(linear, grid(linear.weight), act_grid())
    weight = fake_quantize(linear.weight.detach(), *grid(linear.weight).tensors(), 4)
    expected = nn.functional.linear(fake_quantize(x, *act_grid().tensors(), 8), weight, linear.bias)
    assert torch.equal(twin(x), expected)


@pytest.mark.parametrize("options", CONVS)
def test_without_grids_nothing_changes(options):
    conv = nn.Conv2d(4, 6, **options)
    x = torch.randn(2, 4, 9, 9)
    assert torch.equal(QuantConv2d.from_float(conv, None, None)(x), conv(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_integers_come_back_from_the_stored_weight(bits, dtype):
    torch.manual_seed(bits)
    conv = nn.Conv2d(3, 50, 3).to(dtype)
    twin = QuantConv2d.from_float(conv, grid(conv.weight, bits), None)
    levels = twin.weight_levels()
    assert levels is not None
    assert levels.unique().numel() > 2 ** (bits - 1)
    s, z = grid(conv.weight, bits).tensors()
    assert torch.equal(dequantize(levels, s, z).to(dtype), twin.weight)
    direct = ((conv.weight.float() * (1 / s.view(-1, 1, 1, 1))).round() + z.view(-1, 1, 1, 1)).int()
    assert torch.equal(levels.int(), direct.clamp(0, 2**bits - 1))


def test_a_float_weight_has_no_integers():
    assert QuantLinear.from_float(nn.Linear(2, 2), None, act_grid()).weight_levels() is None


def test_the_memory_layout_of_the_weight_is_kept():
    conv = nn.Conv2d(4, 6, 3).to(memory_format=torch.channels_last)
    twin = QuantConv2d.from_float(conv, grid(conv.weight), None)
    assert twin.weight.stride() == conv.weight.stride()


def test_making_a_twin_draws_no_random_numbers():
    conv = nn.Conv2d(4, 6, 3)
    state = torch.get_rng_state()
    QuantConv2d.from_float(conv, grid(conv.weight), act_grid())
    QuantLinear.from_float(nn.utils.skip_init(nn.Linear, 3, 3), None, act_grid())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_quantizer_without_scale_says_so():
    with pytest.raises(RuntimeError, match="no scale yet"):
        FakeQuantize(8)(torch.ones(3))
    assert FakeQuantize(8).scale is None


def test_a_quantizer_keeps_its_scale_in_the_state():
    quantizer = FakeQuantize(4, *act_grid().tensors())
    assert set(quantizer.state_dict()) == {"scale", "zero_point"}
    assert repr(quantizer) == "FakeQuantize(bits=4, calibrated=True)"
