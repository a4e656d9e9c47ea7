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
    """The soft weight; slope and regularizer are worked out from h, which autograd would keep."""

    @staticmethod
    def forward(ctx: Any, logit: Tensor, grid: SoftRounding) -> Tensor:
        h = torch.sigmoid(logit).mul_(ZETA - GAMMA).add_(GAMMA).clamp_(0, 1)
        ctx.save_for_backward(h, grid.step)
        ctx.pull = grid.pull
        return torch.addcmul(grid.floor, h, grid.step)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        h, step = ctx.saved_tensors
        by_h = grad * step
        if ctx.pull is not None:
            beta, strength = ctx.pull
            offset = torch.sub(h * 2, 1)
            steepness = offset.abs().pow_(beta - 1).copysign_(offset)
            by_h.add_(steepness, alpha=-2 * beta * strength)
        slope = (h - GAMMA).mul_(ZETA - h).div_(ZETA - GAMMA)  # dh / dV where h is not clamped
        inside = (h > 0) & (h < 1)
        return by_h.mul_(slope).mul_(inside), None


class SoftRounding(nn.Module):
    """Rounding of one weight, between down (0) and up (1).

    It starts where the soft weight is the float one. What does not change is computed here, once.

    Args:
        weight: [C_out, ...] float.
        scale, zero_point: broadcastable to the weight.
        levels: n, the number of levels.

    Attributes:
        pull: `None`, or (beta, strength): the backward pass adds the gradient of
            strength * sum(1 - |2 h(V) - 1|^beta) (equation 24) to V's.
    """

    scale: Tensor
    down: Tensor
    zero_point: Tensor
    floor: Tensor  # [C_out, ...] the weight with all h = 0
    step: Tensor  # [C_out, ...] how much h = 1 adds: the scale, or 0 beyond the last level

    def __init__(self, weight: Tensor, scale: Tensor, zero_point: Tensor, levels: int) -> None:
        super().__init__()
        steps = _channels_last(weight.detach().float()) / scale
        down = steps.floor()
        self.top = levels - 1
        self.pull: tuple[float, float] | None = None
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.float())
        self.register_buffer("down", down + zero_point)
        self.register_buffer("floor", (self.down.clamp(0, self.top) - self.zero_point) * scale)
        self.register_buffer("step", scale * ((self.down >= 0) & (self.down < self.top)))
        self.logit = nn.Parameter(_logit(steps - down))

    def forward(self) -> Tensor:
        """The soft weight [C_out, ...], with h(V) = clamp(sigmoid(V) (zeta - gamma) + gamma, 0, 1).

        Equation 23.
        """
        return _Soft.apply(self.logit, self)

    @torch.no_grad()
    def hard(self) -> Tensor:
        """The weight [C_out, ...] with every h rounded, on its grid."""
        levels = torch.clamp(self.down + (self.logit >= 0), 0, self.top)
        return (levels - self.zero_point) * self.scale


def beta_at(
    iteration: int, iterations: int, first: float = 20.0, last: float = 2.0, warm_up: float = 0.2
) -> float | None:
    """The regularizer's exponent, linear from `first` to `last`; `None` during the warm-up."""
    start = warm_up * iterations
    if iteration < start:
        return None
    return first + (last - first) * (iteration - start) / max(iterations - start, 1)


def _channels_last(weight: Tensor) -> Tensor:
    """The layout that convolutions are fastest in."""
    return weight.contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight


def _logit(h: Tensor) -> Tensor:
    """V with h(V) = h for h in [0, 1)."""
    return -torch.log((ZETA - GAMMA) / (h - GAMMA) - 1)
