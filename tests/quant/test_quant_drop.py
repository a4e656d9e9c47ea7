"""QDrop's dice."""

from __future__ import annotations

import pytest
import torch

from analysis.quant.drop import chosen


@pytest.mark.parametrize("share", [1 / 256, 0.1, 0.5, 0.9, 1.0])
def test_the_share_is_met_and_every_position_is_as_likely(share):
    torch.manual_seed(0)
    masks = torch.stack([chosen(torch.empty(1003), share) for _ in range(400)])
    assert set(masks.unique().tolist()) <= {0.0, 1.0}
    assert float(masks.mean()) == pytest.approx(round(share * 256) / 256, abs=0.004)
    # A position's share of 400 draws strays from the whole by chance alone.
    spread = float(masks.mean(dim=0).std())
    assert spread == pytest.approx((share * (1 - share) / 400) ** 0.5, rel=0.15, abs=1e-3)


def test_it_is_as_the_tensor_it_is_for_and_follows_the_seed():
    like = torch.randn(4, 6, 5, 3).contiguous(memory_format=torch.channels_last)
    state = torch.get_rng_state()
    one, other = chosen(like, 0.5), chosen(like, 0.5)
    torch.set_rng_state(state)
    assert torch.equal(chosen(like, 0.5), one)
    assert not torch.equal(one, other)
    assert (one.dtype, one.stride()) == (like.dtype, like.stride())
    assert chosen(like.half(), 0.5).dtype == torch.float16
    assert chosen(like[:, ::2], 0.5).shape == (4, 3, 5, 3)


def test_neighbours_are_drawn_apart():
    torch.manual_seed(0)
    mask = chosen(torch.empty(2**16), 0.5) - 0.5
    for apart in (1, 2, 7, 8):
        assert abs(float((mask[apart:] * mask[:-apart]).mean())) < 0.005
