"""Learned scales against torch's learnable fake quantization."""

from __future__ import annotations

import pytest
import torch

from analysis.quant.learned_scale import LearnedQuantize
from analysis.quant.primitives import fake_quantize

GRIDS = [(4, 0.21, 6), (8, 0.03, 128), (2, 0.9, 0), (3, 0.4, 7)]


def values(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def learned(bits: int, scale, zero_point, **more) -> LearnedQuantize:
    return LearnedQuantize(torch.as_tensor(scale), torch.as_tensor(zero_point), bits, **more)


@pytest.mark.parametrize(("bits", "scale", "zero_point"), GRIDS)
def test_its_output_is_fake_quantization(bits, scale, zero_point):
    x = values(3, 4, 5, 5)
    expected = fake_quantize(x, torch.tensor(scale), torch.tensor(zero_point), bits)
    torch.testing.assert_close(learned(bits, scale, zero_point)(x), expected)


@pytest.mark.parametrize(("bits", "scale", "zero_point"), GRIDS)
def test_its_gradients_are_torchs(bits, scale, zero_point):
    x, weight = values(3, 4, 5, 5), values(3, 4, 5, 5, seed=1)
    quantizer = learned(bits, scale, zero_point)
    own = x.clone().requires_grad_()
    (quantizer(own) * weight).sum().backward()
    theirs = x.clone().requires_grad_()
    step = torch.tensor([scale], requires_grad=True)
    zero = torch.tensor([float(zero_point)])
    out = torch._fake_quantize_learnable_per_tensor_affine(theirs, step, zero, 0, 2**bits - 1, 1.0)
    (out * weight).sum().backward()
    torch.testing.assert_close(own.grad, theirs.grad)
    torch.testing.assert_close(quantizer.scale.grad, step.grad[0], rtol=1e-4, atol=1e-4)
    assert 0 < (own.grad == 0).sum() < x.numel()  # some are clipped, most are not


def test_two_scales_are_the_two_halves_apart():
    x, weight, seam = values(2, 7, 3, 3), values(2, 7, 3, 3, seed=1), 3
    both = learned(4, [0.2, 0.7], [5, 9], seam=seam)
    halves = [learned(4, 0.2, 5), learned(4, 0.7, 9)]
    expected = torch.cat([halves[0](x[:, :seam]), halves[1](x[:, seam:])], dim=1)
    torch.testing.assert_close(both(x), expected)
    (both(x) * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(both.scale.grad, torch.stack([q.scale.grad for q in halves]))


@pytest.mark.parametrize("drop", [0.0, 0.5, 1.0])
def test_drop_is_the_share_that_stays_float(drop):
    x = values(64, 64)
    quantizer = learned(3, 0.5, 4, drop=drop).train()
    torch.manual_seed(0)
    out, quantized = quantizer(x), learned(3, 0.5, 4)(x)
    kept = out == x
    assert torch.equal(torch.where(kept, x, quantized), out)
    assert float(kept.float().mean()) == pytest.approx(drop, abs=0.03)
    assert torch.equal(quantizer.eval()(x), quantized)


def test_a_dropped_element_teaches_the_scale_nothing():
    x = values(8, 8).requires_grad_()
    quantizer = learned(3, 0.5, 4, drop=1.0).train()
    quantizer(x).sum().backward()
    assert quantizer.scale.grad == 0
    assert (x.grad == 1).all()
