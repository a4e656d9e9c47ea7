"""Layers that compute as their integer twins would, in floating point."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from analysis.quant.primitives import fake_quantize, quantize, round_to_grid
from analysis.quant.qparams import QParams


class FakeQuantize(nn.Module):
    """Moves its input to the nearest level of a per-tensor grid.

    `scale` and `zero_point` are buffers of shape []; `None` means not calibrated.
    """

    scale: Tensor | None
    zero_point: Tensor | None

    def __init__(
        self, bits: int, scale: Tensor | None = None, zero_point: Tensor | None = None
    ) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None or self.zero_point is None:
            raise RuntimeError("this quantizer has no scale yet: calibrate it first")
        return round_to_grid(x, self.scale, self.zero_point, 2**self.bits - 1)

    def extra_repr(self) -> str:
        return f"bits={self.bits}, calibrated={self.scale is not None}"


def quantizer(qparams: QParams | None, device: torch.device | str = "cpu") -> nn.Module:
    """A `FakeQuantize` on these numbers, or the identity where there are none."""
    if qparams is None:
        return nn.Identity()
    return FakeQuantize(qparams.bits, *qparams.tensors(device))


class QuantLayer(nn.Module):
    """What quantized convolutions and linear maps share.

    The weight is stored rounded to its grid, so a forward pass quantizes the input and nothing
    else. `weight_scale` and `weight_zero_point` [C_out] lead back to the integers.
    """

    weight: Any
    bias: Any
    weight_bits: int | None
    weight_scale: Tensor | None
    weight_zero_point: Tensor | None
    input_quantizer: nn.Module

    @torch.no_grad()
    def adopt(
        self,
        layer: nn.Conv2d | nn.Linear,
        weight: Tensor,
        weight_qparams: QParams | None,
        act_qparams: QParams | None,
    ) -> None:
        """Take over a float layer's bias and mode, and a weight [C_out, ...] to be rounded."""
        self.weight_bits = None if weight_qparams is None else weight_qparams.bits
        scale, zero_point = (
            (None, None) if weight_qparams is None else weight_qparams.tensors(weight.device)
        )
        self.register_buffer("weight_scale", scale)
        self.register_buffer("weight_zero_point", zero_point)
        if weight_qparams is not None:
            weight = _rounded(weight, weight_qparams)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = layer.bias
        self.input_quantizer = quantizer(act_qparams, weight.device)
        self.train(layer.training)

    def weight_levels(self) -> Tensor | None:
        """The weight as integers [C_out, ...], exactly; `None` where it is float."""
        if self.weight_bits is None:
            return None
        assert self.weight_scale is not None
        assert self.weight_zero_point is not None
        return quantize(self.weight, self.weight_scale, self.weight_zero_point, self.weight_bits)


def _rounded(weight: Tensor, qparams: QParams) -> Tensor:
    """The weight on its grid, in its own dtype and memory layout."""
    scale, zero_point = qparams.tensors(weight.device)
    return fake_quantize(weight.float(), scale, zero_point, qparams.bits).to(weight.dtype)


class QuantConv2d(QuantLayer, nn.Conv2d):
    """A 2-D convolution with a rounded weight and a quantized input."""

    @classmethod
    def from_float(
        cls,
        conv: nn.Conv2d,
        weight_qparams: QParams | None,
        act_qparams: QParams | None,
        weight: Tensor | None = None,
    ) -> QuantConv2d:
        """The twin of a convolution; `weight`, if given, is rounded in place of its own."""
        twin = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,  # type: ignore[arg-type]
            conv.stride,  # type: ignore[arg-type]
            conv.padding,  # type: ignore[arg-type]
            conv.dilation,  # type: ignore[arg-type]
            conv.groups,
            bias=conv.bias is not None,
            padding_mode=conv.padding_mode,
            device="meta",  # its own random weights are never drawn
        )
        twin.adopt(conv, conv.weight if weight is None else weight, weight_qparams, act_qparams)
        return twin

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.input_quantizer(x))


class QuantLinear(QuantLayer, nn.Linear):
    """A linear map with a rounded weight and a quantized input."""

    @classmethod
    def from_float(
        cls,
        linear: nn.Linear,
        weight_qparams: QParams | None,
        act_qparams: QParams | None,
        weight: Tensor | None = None,
    ) -> QuantLinear:
        """The twin of a linear map; `weight`, if given, is rounded in place of its own."""
        twin = cls(
            linear.in_features, linear.out_features, bias=linear.bias is not None, device="meta"
        )
        chosen = linear.weight if weight is None else weight
        twin.adopt(linear, chosen, weight_qparams, act_qparams)
        return twin

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(self.input_quantizer(x))
