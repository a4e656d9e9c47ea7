"""Convolutions in two bfloat16 halves, against float64 and against plain autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from analysis.quant import half_conv
from analysis.quant.half_conv import convolution

SHAPES = [
    {"stride": 1, "padding": 1},
    {"stride": 2, "padding": 1},
    {"padding": 2, "dilation": 2, "groups": 2},
    {"padding": 1, "bias": False},
]


@pytest.fixture
def fast(monkeypatch):
    """As on a processor with matrix units, whatever this one has."""
    monkeypatch.setattr(half_conv, "fast_on", lambda device: True)


def layer_and_input(options: dict) -> tuple[nn.Conv2d, torch.Tensor]:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 6, 3, **options).requires_grad_(False)
    return conv, torch.randn(5, 8, 9, 9) + 1


@pytest.mark.parametrize("options", SHAPES)
def test_outputs_are_near_and_their_mean_nearer(fast, options):
    conv, x = layer_and_input(options)
    bias = None if conv.bias is None else conv.bias.double()
    exact = conv._conv_forward(x.double(), conv.weight.double(), bias)
    found = convolution(x, conv.weight, conv)
    assert found.dtype == torch.float32
    error = found - exact
    assert error.square().mean() < 1e-5 * exact.square().mean()
    assert not torch.equal(found, conv(x))  # else it would not have run in halves


def test_the_weight_keeps_sixteen_bits(fast):
    """Of x = 1 bfloat16 loses nothing, so what is lost is lost of the weight and the sum."""
    conv = nn.Conv2d(1, 1, 1, bias=False).requires_grad_(False)
    weight = torch.full((1, 1, 1, 1), 1.0 + 2**-8 + 2**-12)
    found = convolution(torch.ones(1, 1, 1, 1), weight, conv)
    assert abs(float(found) - float(weight)) < 2**-16
    assert abs(float(weight.bfloat16()) - float(weight)) > 2**-9  # a single half would not do


@pytest.mark.parametrize("options", SHAPES)
def test_gradients_are_those_of_autograd(fast, options):
    conv, x = layer_and_input(options)
    found, exact = [], []
    for run, gradients in (
        (convolution, found),
        (lambda x, w, c: c._conv_forward(x, w, c.bias), exact),
    ):
        values = [x.clone().requires_grad_(), conv.weight.clone().requires_grad_()]
        out = run(*values, conv)
        gradients += torch.autograd.grad(
            (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum(), values
        )
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).square().sum() < 1e-4 * other.square().sum()


@pytest.mark.parametrize("change", ["double", "reflect", "no matrix units"])
def test_everything_else_is_the_layers_own(monkeypatch, change):
    monkeypatch.setattr(half_conv, "fast_on", lambda device: change != "no matrix units")
    mode = "reflect" if change == "reflect" else "zeros"
    conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode=mode)
    x = torch.randn(2, 3, 6, 6)
    if change == "double":
        conv, x = conv.double(), x.double()
    assert torch.equal(convolution(x, conv.weight, conv), conv(x))
