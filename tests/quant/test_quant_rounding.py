"""AdaRound's formulas against plain autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.quant.rounding import SoftRounding, beta_at

BITS, LEVELS = 3, 8
# Far out on both sides h is 0 or 1 and flat; 2.3979 is where the stretched sigmoid reaches 1.
LOGITS = torch.tensor([-9.0, -2.5, -2.3979, -1.0, -0.01, 0.0, 0.01, 1.0, 2.3979, 2.5, 9.0])


def stretched(v: torch.Tensor) -> torch.Tensor:
    """h(V) as equation 23 has it."""
    return torch.clamp(torch.sigmoid(v) * 1.2 - 0.1, 0, 1)


def a_weight(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A weight whose largest values lie outside their grid, and that grid."""
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn(*shape, generator=random)
    one = [shape[0], *[1] * (len(shape) - 1)]
    scale = torch.rand(one, generator=random) * 0.2 + 0.15
    return weight, scale, torch.randint(1, LEVELS - 1, one, generator=random)


def by_hand(weight, scale, zero_point, v) -> torch.Tensor:
    """The soft weight, as the paper writes it."""
    steps = torch.floor(weight / scale) + stretched(v)
    return scale * (torch.clamp(steps + zero_point, 0, LEVELS - 1) - zero_point)


@pytest.mark.parametrize("shape", [(6, 11), (3, 2, 3, 3)])
def test_soft_weights_and_their_gradients_are_those_of_the_formula(shape):
    weight, scale, zero_point = a_weight(*shape)
    rounding = SoftRounding(weight, scale, zero_point, LEVELS)
    random = torch.Generator().manual_seed(1)
    v = torch.randn(shape, generator=random) * 2
    v.view(-1)[: len(LOGITS)] = LOGITS[: v.numel()]
    rounding.logit.data.copy_(v)
    v.requires_grad_()
    soft, expected = rounding(), by_hand(weight, scale, zero_point, v)
    torch.testing.assert_close(soft, expected)
    down = torch.randn(shape, generator=random)
    (soft * down).sum().backward()
    (expected * down).sum().backward()
    torch.testing.assert_close(rounding.logit.grad, v.grad)
    flat = (v.detach().abs() > 2.4) | (expected == scale * (LEVELS - 1 - zero_point))
    assert flat.any()
    assert (rounding.logit.grad[flat] == 0).all()
    assert (rounding.logit.grad != 0).any()


@pytest.mark.parametrize("beta", [20.0, 7.5, 2.0])
def test_the_pull_is_the_gradient_of_the_regularizer(beta):
    weight, scale, zero_point = a_weight(4, 11)
    rounding = SoftRounding(weight, scale, zero_point, LEVELS)
    v = torch.randn(4, 11, generator=torch.Generator().manual_seed(2))
    v[0] = LOGITS
    rounding.logit.data.copy_(v)
    (rounding() * 3).sum().backward()
    before = rounding.logit.grad.clone()
    rounding.logit.grad, rounding.pull = None, (beta, 0.01)
    (rounding() * 3).sum().backward()
    v.requires_grad_()
    (0.01 * (1 - (2 * stretched(v) - 1).abs().pow(beta)).sum()).backward()
    torch.testing.assert_close(rounding.logit.grad - before, v.grad, atol=1e-6, rtol=1e-4)
    assert (v.grad != 0).any()


def test_it_starts_at_the_float_weight():
    weight, scale, zero_point = a_weight(16, 32)
    rounding = SoftRounding(weight, scale, zero_point, LEVELS)
    lowest, highest = -zero_point * scale, (LEVELS - 1 - zero_point) * scale
    expected = torch.minimum(torch.maximum(weight, lowest), highest)
    torch.testing.assert_close(rounding().detach(), expected, atol=2e-6, rtol=0)
    assert (expected != weight).any()


def test_hard_without_learning_is_nearest_rounding():
    weight, scale, zero_point = a_weight(16, 32)
    levels = torch.clamp(torch.round(weight / scale) + zero_point, 0, LEVELS - 1)
    hard = SoftRounding(weight, scale, zero_point, LEVELS).hard()
    torch.testing.assert_close(hard, (levels - zero_point) * scale)


@given(seed=st.integers(0, 2**16), spread=st.floats(0, 20))
def test_hard_is_down_or_up_and_on_the_grid(seed, spread):
    weight, scale, zero_point = a_weight(3, 7, seed=seed)
    rounding = SoftRounding(weight, scale, zero_point, LEVELS)
    rounding.logit.data.copy_(
        torch.randn(3, 7, generator=torch.Generator().manual_seed(seed)) * spread
    )
    levels = rounding.hard() / scale + zero_point
    assert torch.allclose(levels, levels.round(), atol=1e-4)
    steps = np.floor((weight / scale).numpy())
    both = [np.clip(steps + up + zero_point.numpy(), 0, LEVELS - 1) for up in (0, 1)]
    found = levels.round().numpy()
    assert ((found == both[0]) | (found == both[1])).all()
    goes_up = (rounding.logit.detach() >= 0).numpy()
    assert np.array_equal(found, np.where(goes_up, both[1], both[0]))
    inside = both[0] < LEVELS - 1
    assert (
        (np.abs(rounding.hard() - weight) < scale + 1e-6)
        .numpy()[inside & (steps + zero_point.numpy() >= 0)]
        .all()
    )


def test_beta_sinks_from_twenty_to_two_after_the_warm_up():
    assert [beta_at(i, 100) for i in (0, 19)] == [None, None]
    assert beta_at(20, 100) == 20
    assert beta_at(60, 100) == pytest.approx(11)
    assert beta_at(100, 100) == 2
    assert beta_at(0, 10, warm_up=0.0) == 20
    found = [beta_at(i, 1000) for i in range(200, 1000)]
    np.testing.assert_allclose(np.diff(found), -18 / 800, rtol=1e-9)
