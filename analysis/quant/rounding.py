"""AdaRound: learn for every weight whether to round it up or down.

Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", 2020. A weight is
s * (clamp(floor(W / s) + h(V) + z, 0, n - 1) - z), where h(V) in [0, 1] is learned and pushed
towards 0 or 1 by a regularizer whose exponent sinks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ZETA, GAMMA = 1.1, -0.1  # the sigmoid is stretched so that 0 and 1 are reached


class SoftRounding(nn.Module):
    """Rounding of one weight, between down (0) and up (1).

    It starts where the soft weight is the float one. What does not change is computed here, once:
    an iteration costs a sigmoid and a clamp.

    Args:
        weight: [C_out, ...] float.
        scale, zero_point: broadcastable to the weight.
        levels: n, the number of levels.
    """

    scale: Tensor
    down: Tensor
    zero_point: Tensor

    def __init__(self, weight: Tensor, scale: Tensor, zero_point: Tensor, levels: int) -> None:
        super().__init__()
        steps = weight.detach().float() / scale
        down = steps.floor()
        self.top = levels - 1
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point.float())
        self.register_buffer("down", down + zero_point)
        self.logit = nn.Parameter(_logit(steps - down))

    def h(self) -> Tensor:
        """h(V) = clamp(sigmoid(V) (zeta - gamma) + gamma, 0, 1) (equation 23)."""
        return torch.clamp(torch.sigmoid(self.logit) * (ZETA - GAMMA) + GAMMA, 0, 1)

    def forward(self) -> Tensor:
        """The soft weight [C_out, ...]."""
        levels = torch.clamp(self.down + self.h(), 0, self.top)
        return (levels - self.zero_point) * self.scale

    @torch.no_grad()
    def hard(self) -> Tensor:
        """The weight [C_out, ...] with every h rounded, on its grid."""
        levels = torch.clamp(self.down + (self.logit >= 0), 0, self.top)
        return (levels - self.zero_point) * self.scale

    def regularizer(self, beta: float) -> Tensor:
        """sum(1 - |2 h(V) - 1|^beta) (equation 24): 0 where all are rounded."""
        return (1 - (2 * self.h() - 1).abs().pow(beta)).sum()


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
