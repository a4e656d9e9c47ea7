"""AdaRound: learn for every weight whether to round it up or down.

Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", 2020. A weight is
s * (clamp(floor(W / s) + h(V) + z, 0, n - 1) - z), where h(V) in [0, 1] is learned and pushed
towards 0 or 1 by a regularizer whose exponent sinks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

ZETA, GAMMA = 1.1, -0.1  # the sigmoid is stretched so that 0 and 1 are reached


class _Soft(torch.autograd.Function):
    """The soft weight, its slope worked out in one go with it; autograd would take five passes."""

    @staticmethod
    def forward(ctx: Any, logit: Tensor, grid: SoftRounding) -> Tensor:
        sigmoid = torch.sigmoid(logit)
        raw = sigmoid * (ZETA - GAMMA) + GAMMA
        h = raw.clamp(0, 1)
        grid.h_slope = (sigmoid - sigmoid.square()).mul_(ZETA - GAMMA).mul_(raw == h)
        grid.h = h
        steps = grid.down + h
        levels = steps.clamp(0, grid.top)
        ctx.save_for_backward(grid.h_slope * (steps == levels) * grid.scale)
        return levels.sub_(grid.zero_point).mul_(grid.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.saved_tensors[0], None


class SoftRounding(nn.Module):
    """Rounding of one weight, between down (0) and up (1).

    It starts where the soft weight is the float one. What does not change is computed here, once.

    Args:
        weight: [C_out, ...] float.
        scale, zero_point: broadcastable to the weight.
        levels: n, the number of levels.
    """

    scale: Tensor
    down: Tensor
    zero_point: Tensor
    h: Tensor  # h(V) = clamp(sigmoid(V) (zeta - gamma) + gamma, 0, 1) (equation 23), as last used
    h_slope: Tensor  # dh / dV

    def __init__(self, weight: Tensor, scale: Tensor, zero_point: Tensor, levels: int) -> None:
        super().__init__()
        steps = weight.detach().float() / scale
        down = steps.floor()
        self.top = levels - 1
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.float())
        self.register_buffer("down", down + zero_point)
        self.logit = nn.Parameter(_logit(steps - down))

    def forward(self) -> Tensor:
        """The soft weight [C_out, ...]."""
        return _Soft.apply(self.logit, self)

    @torch.no_grad()
    def hard(self) -> Tensor:
        """The weight [C_out, ...] with every h rounded, on its grid."""
        levels = torch.clamp(self.down + (self.logit >= 0), 0, self.top)
        return (levels - self.zero_point) * self.scale

    @torch.no_grad()
    def push(self, beta: float, strength: float) -> None:
        """Add the gradient of strength * sum(1 - |2 h(V) - 1|^beta) (equation 24) to V's.

        It is 0 where all are rounded. To be called after `forward` and the backward pass.
        """
        assert self.logit.grad is not None
        offset = 2 * self.h - 1
        steepness = offset.abs().pow_(beta - 1).mul_(offset.sign_())
        self.logit.grad.addcmul_(steepness, self.h_slope, value=-2 * beta * strength)


def beta_at(
    iteration: int, iterations: int, first: float = 20.0, last: float = 2.0, warm_up: float = 0.2
) -> float | None:
    """The regularizer's exponent, linear from `first` to `last`; `None` during the warm-up."""
    start = warm_up * iterations
    if iteration < start:
        return None
    return first + (last - first) * (iteration - start) / max(iterations - start, 1)


def _logit(h: Tensor) -> Tensor:
    """V with h(V) = h for h in [0, 1)."""
    return -torch.log((ZETA - GAMMA) / (h - GAMMA) - 1)
