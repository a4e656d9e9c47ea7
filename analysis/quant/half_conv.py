"""Convolutions in bfloat16 that are exact where it matters, for learning on a CPU.

Processors with matrix units multiply bfloat16 several times as fast as float32. Activations and
gradients stand that: their rounding errors have no direction. A rounded weight errs the same way
at every position, and the sampler adds up what that shifts (docs/quantization.md has figures);
so the weight goes in as the sum of two halves that together hold 16 bits.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, like: nn.Conv2d) -> Tensor:
        ctx.geometry = (like.stride, like.padding, like.dilation, False, (0, 0), like.groups)
        half, coarse = _half(x), _half(weight)
        ctx.save_for_backward(half, coarse)
        run = functools.partial(nn.functional.conv2d, half, **_geometry(like))
        return torch.add(run(_half(weight - coarse)), run(coarse).float())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        wanted = (*ctx.needs_input_grad[:2], False)
        by_x, by_weight, _ = torch.ops.aten.convolution_backward(
            _half(grad), *ctx.saved_tensors, None, *ctx.geometry, wanted
        )
        return _float(by_x), _float(by_weight), None


def convolution(x: Tensor, weight: Tensor, like: nn.Conv2d) -> Tensor:
    """What `like` makes of x [N, C_in, H, W] with another weight [C_out, C_in / groups, K, K].

    In bfloat16 where that is fast, in x's own type elsewhere.
    """
    if not (fast_on(x.device.type) and x.dtype == torch.float32 and _plain(like)):
        return like._conv_forward(x, weight, like.bias)
    out: Tensor = _Convolution.apply(x, weight, like)
    return out if like.bias is None else out + like.bias[:, None, None]


@functools.cache
def fast_on(device: str) -> bool:
    """Whether a device multiplies bfloat16 in matrix units and this module makes use of it."""
    return device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


def _plain(like: nn.Conv2d) -> bool:
    return like.padding_mode == "zeros" and not isinstance(like.padding, str)


def _geometry(like: nn.Conv2d) -> dict[str, Any]:
    return {name: getattr(like, name) for name in ("stride", "padding", "dilation", "groups")}


def _half(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16, memory_format=torch.channels_last)


def _float(x: Tensor | None) -> Tensor | None:
    return None if x is None else x.float()
