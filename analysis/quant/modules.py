"""Layers that compute as their integer twins would, in floating point."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from analysis.quant.primitives import fake_quantize, quantize, round_to_grid
from analysis.quant.qparams import QParams
from analysis.quant.split import on_weight, round_split, spread_activation, spread_weight


class FakeQuantize(nn.Module):
    """Moves its input to the nearest level of a per-tensor grid, or of one for each half.

    `scale` and `zero_point` are buffers of shape [], or [2] where `channels` are split at
    `seam`; `None` means not calibrated.
    """

    scale: Tensor | None
    zero_point: Tensor | None
    scale_by_channel: Tensor  # [1, C, 1, 1], as the next, where there is a seam
    zero_point_by_channel: Tensor

    def __init__(
        self,
        bits: int,
        scale: Tensor | None = None,
        zero_point: Tensor | None = None,
        seam: int | None = None,
        channels: int | None = None,
    ) -> None:
        super().__init__()
        if seam is not None and channels is None:
            raise ValueError("a seam needs the number of channels that it cuts")
        self.bits, self.seam, self.channels = bits, seam, channels
        self.register_buffer("scale", scale)
        self.register_buffer("zero_point", zero_point)
        self._bounds: list[int] = []
        self._spread()
        self.register_load_state_dict_post_hook(_spread_again)

    def forward(self, x: Tensor) -> Tensor:
        scale, zero_point = self.grid()
        top = 2**self.bits - 1
        if self.seam is None:
            return round_to_grid(x, scale, zero_point, top)
        return round_split(x, scale, zero_point, self._bounds, self.seam, top)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point as they meet the input: [], or [1, C, 1, 1] where it is split."""
        if self.scale is None or self.zero_point is None:
            raise RuntimeError("this quantizer has no scale yet: calibrate it first")
        if self.seam is None:
            return self.scale, self.zero_point
        return self.scale_by_channel, self.zero_point_by_channel

    def _spread(self) -> None:
        """Work out once what every forward pass of a split input needs."""
        if self.seam is None or self.scale is None or self.zero_point is None:
            return
        assert self.channels is not None
        for name, value in (("scale", self.scale), ("zero_point", self.zero_point)):
            spread = spread_activation(value, self.seam, self.channels)
            self.register_buffer(f"{name}_by_channel", spread, persistent=False)
        self._bounds = self.zero_point.tolist()

    def extra_repr(self) -> str:
        split = "" if self.seam is None else f", seam={self.seam}"
        return f"bits={self.bits}, calibrated={self.scale is not None}{split}"


def _spread_again(module: nn.Module, keys: object) -> None:
    assert isinstance(module, FakeQuantize)
    module._spread()


def quantizer(
    qparams: QParams | None, device: torch.device | str = "cpu", channels: int | None = None
) -> nn.Module:
    """A `FakeQuantize` on these numbers, or the identity where there are none.

    Args:
        channels: of the input; needed where it is split.
    """
    if qparams is None:
        return nn.Identity()
    return FakeQuantize(qparams.bits, *qparams.tensors(device), qparams.seam, channels)


class QuantLayer(nn.Module):
    """What quantized convolutions and linear maps share.

    The weight is stored rounded to its grid, so a forward pass quantizes the input and nothing
    else. `weight_scale` and `weight_zero_point`, [C_out] or split at `weight_seam` [C_out, 2],
    lead back to the integers.
    """

    weight: Any
    bias: Any
    weight_bits: int | None
    weight_scale: Tensor | None
    weight_zero_point: Tensor | None
    weight_seam: int | None
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
        self.weight_seam = None if weight_qparams is None else weight_qparams.seam
        scale, zero_point = (
            (None, None) if weight_qparams is None else weight_qparams.tensors(weight.device)
        )
        self.register_buffer("weight_scale", scale)
        self.register_buffer("weight_zero_point", zero_point)
        if weight_qparams is not None:
            weight = _rounded(weight, weight_qparams)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = layer.bias
        self.input_quantizer = quantizer(act_qparams, weight.device, weight.shape[1])
        self.train(layer.training)

    def weight_levels(self) -> Tensor | None:
        """The weight as integers [C_out, ...], exactly; `None` where it is float."""
        if self.weight_bits is None:
            return None
        assert self.weight_scale is not None
        assert self.weight_zero_point is not None
        verb = partial(quantize, bits=self.weight_bits)
        grid = self.weight_scale, self.weight_zero_point
        return on_weight(verb, self.weight, *grid, self.weight_seam)

    def weight_grid(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point as they meet the weight: [C_out, 1, ...] or [C_out, C_in, 1, 1].

        Raises:
            RuntimeError: when the weight is float.
        """
        if self.weight_scale is None or self.weight_zero_point is None:
            raise RuntimeError("this weight is float: it has no grid")
        shape = self.weight.shape
        return (
            _meeting(self.weight_scale, self.weight_seam, shape),
            _meeting(self.weight_zero_point, self.weight_seam, shape),
        )


def _meeting(value: Tensor, seam: int | None, shape: torch.Size) -> Tensor:
    if seam is None:
        return value.view(-1, *[1] * (len(shape) - 1))
    return spread_weight(value, seam, shape)


def _rounded(weight: Tensor, qparams: QParams) -> Tensor:
    """The weight on its grid, in its own dtype and memory layout."""
    verb = partial(fake_quantize, bits=qparams.bits)
    values = on_weight(verb, weight.float(), *qparams.tensors(weight.device), qparams.seam)
    return torch.empty_like(weight).copy_(values)


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
