"""Activation grids whose scale is learned, and QDrop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from analysis.quant.drop import chosen
from analysis.quant.split import spread_activation


class _FakeQuantize(torch.autograd.Function):
    """x on the grid; straight-through gradients for x and the scale (LSQ, Esser et al. 2020).

    d x_q / d s is round(x / s) - x / s inside the range and the end level outside. What rounds
    to the end level counts as inside, as in the released code of the methods and in torch; LSQ's
    text has only what lies between the end levels.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, low: Tensor, high: Tensor, kept: Tensor | None
    ) -> Tensor:
        steps = x / scale
        levels = steps.round().clamp_(low, high)
        ctx.save_for_backward(steps, levels, scale, kept)
        quantized = (levels * scale).to(x.dtype)
        return quantized if kept is None else quantized.lerp_(x, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        steps, levels, scale, kept = ctx.saved_tensors
        # As numbers, not as truth values: torch.where is not vectorized on a CPU.
        passes = (levels - steps).abs_().le_(0.5)
        slope = torch.addcmul(levels, steps, passes, value=-1).mul_(grad)
        if kept is not None:
            slope.addcmul_(slope, kept, value=-1)
            passes = torch.maximum(passes, kept)
        grad_x = passes.mul_(grad) if ctx.needs_input_grad[0] else None
        return grad_x, slope.sum_to_size(scale.shape), None, None, None


class LearnedQuantize(nn.Module):
    """A `FakeQuantize` whose scale is a parameter; the zero point stays (Q-Diffusion, EDA-DM).

    Args:
        scale, zero_point: of shape [] or, for a split input, [2].
        seam: channels of the first half of a split input.
        drop: probability that an element keeps its float value while training (QDrop, Wei et
            al. 2022).
    """

    zero_point: Tensor

    def __init__(
        self,
        scale: Tensor,
        zero_point: Tensor,
        bits: int,
        seam: int | None = None,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(scale.detach().clone())
        self.register_buffer("zero_point", zero_point)
        self.top, self.seam, self.drop = 2**bits - 1, seam, drop

    def forward(self, x: Tensor) -> Tensor:
        scale, zero_point = self._along(self.scale, x), self._along(self.zero_point.float(), x)
        kept = chosen(x, self.drop) if self.training and self.drop else None
        return _FakeQuantize.apply(x, scale, -zero_point, self.top - zero_point, kept)

    def _along(self, value: Tensor, x: Tensor) -> Tensor:
        """[] as it is, [2] as [1, C, 1, 1]."""
        if self.seam is None:
            return value
        return spread_activation(value, self.seam, x.shape[1])
