"""Layers that the exporter sees as QuantizeLinear, DequantizeLinear and a float operator.

That is the QDQ convention of ONNX: integers and grids stand in the graph as they are, and a
runtime with integer kernels replaces the three operators by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analysis.quant.attention import OPERANDS, QuantAttnProcessor
from analysis.quant.modules import FakeQuantize, QuantLayer
from analysis.quant.split import halves

DOMAIN = "workbench"  # of markers, which are gone from the file that is written
MARKER = "Layer"


class _Mark(torch.autograd.Function):
    """Gives a tensor the name by which it is found again in the exported graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, name: str) -> Tensor:
        return x.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, name: str) -> Any:
        return g.op(f"{DOMAIN}::{MARKER}", x, name_s=name).setType(x.type())


class _ThroughIntegers(torch.autograd.Function):
    """x as 8-bit integers and back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, scale, zero_point.int(), 0, 255)

    @staticmethod
    def symbolic(g: Any, x: Any, scale: Any, zero_point: Any) -> Any:
        integers = g.op("QuantizeLinear", x, scale, zero_point)
        return g.op("DequantizeLinear", integers, scale, zero_point).setType(x.type())


class _FromIntegers(torch.autograd.Function):
    """A weight from its integers, one scale and zero point for each index of an axis."""

    @staticmethod
    def forward(
        ctx: Any, levels: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int
    ) -> Tensor:
        shape = [-1 if i == axis else 1 for i in range(levels.ndim)]
        moved = levels.float() if zero_point is None else levels.float() - zero_point.view(shape)
        return moved * scale.view(shape)

    @staticmethod
    def symbolic(g: Any, levels: Any, scale: Any, zero_point: Any, axis: int) -> Any:
        inputs = [levels, scale] if zero_point is None else [levels, scale, zero_point]
        kind = scale.type().with_sizes(levels.type().sizes())
        return g.op("DequantizeLinear", *inputs, axis_i=axis).setType(kind)


class Activation(nn.Module):
    """One per-tensor grid of 2 to 8 bits; below 8 bits the input is clipped to its levels."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor, bits: int) -> None:
        super().__init__()
        self.register_buffer("scale", scale.reshape(()))
        self.register_buffer("zero_point", zero_point.reshape(()).to(torch.uint8))
        step, z = float(scale), int(zero_point)
        self.ends = None if bits == 8 else (-z * step, (2**bits - 1 - z) * step)

    def forward(self, x: Tensor) -> Tensor:
        if self.ends is not None:
            x = x.clamp(*self.ends)
        out: Tensor = _ThroughIntegers.apply(x, self.scale, self.zero_point)
        return out


class FineActivation(nn.Module):
    """A grid above 8 bits, rounded in float: no kernel takes such integers."""

    scale: Tensor

    def __init__(self, scale: Tensor, zero_point: Tensor, bits: int) -> None:
        super().__init__()
        self.register_buffer("scale", scale.reshape(()))
        z = int(zero_point)
        self.ends = (float(-z), float(2**bits - 1 - z))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.scale.reciprocal()).round().clamp(*self.ends) * self.scale


class Weight(nn.Module):
    """The integers of a weight, or of the slice of it that meets one half of the input.

    A grid whose zero points all stand in the middle is stored as signed integers without any,
    which is what integer kernels take.
    """

    levels: Tensor
    scale: Tensor
    zero_point: Tensor | None

    def __init__(self, levels: Tensor, scale: Tensor, zero_point: Tensor, bits: int) -> None:
        super().__init__()
        middle = 2 ** (bits - 1)
        centred = bool((zero_point == middle).all())
        self.bits = bits
        self.axis = 0
        levels = levels.to(torch.int16)
        self.register_buffer(
            "levels", (levels - middle).to(torch.int8) if centred else levels.to(torch.uint8)
        )
        self.register_buffer("scale", scale.contiguous())
        self.register_buffer("zero_point", None if centred else zero_point.to(torch.uint8))

    def transposed(self) -> Weight:
        """The same for x @ W: [C_in, C_out]."""
        self.levels, self.axis = self.levels.T.contiguous(), 1
        return self

    def forward(self) -> Tensor:
        out: Tensor = _FromIntegers.apply(self.levels, self.scale, self.zero_point, self.axis)
        return out


class FloatWeight(nn.Module):
    """A weight that stays float."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())

    def forward(self) -> Tensor:
        return self.weight


class Layer(nn.Module):
    """A convolution or linear map [as one product for each half of a split input] with a name."""

    def __init__(self, name: str, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.name = name
        self.seam = _seam(layer)
        self.grids = nn.ModuleList(_activations(layer, self.seam))
        self.weights = nn.ModuleList(_weights(layer, self.seam))
        self.bias = layer.bias
        self.like = (
            {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}
            if isinstance(layer, nn.Conv2d)
            else None
        )
        self.padding_mode = getattr(layer, "padding_mode", "zeros")
        self.around = getattr(layer, "_reversed_padding_repeated_twice", None)
        self.dtype = layer.weight.dtype

    @property
    def weight(self) -> Tensor:
        """Some blocks look up the dtype of their layers' weights."""
        return torch.empty(0, dtype=self.dtype)

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        inputs = (x,) if self.seam is None else halves(x, self.seam)
        bias, out = self.bias, None
        for part, grid, weight in zip(inputs, self.grids, self.weights, strict=True):
            product = self._product(grid(part), weight(), bias)
            out, bias = product if out is None else out + product, None
        named: Tensor = _Mark.apply(out, self.name)
        return named

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.like is None:
            out = x @ weight
            return out if bias is None else out + bias
        if self.padding_mode == "zeros":
            return F.conv2d(x, weight, bias, **self.like)
        assert self.around is not None
        x = F.pad(x, self.around, mode=self.padding_mode)
        return F.conv2d(x, weight, bias, **(self.like | {"padding": 0}))


class WholeAttention(QuantAttnProcessor):
    """Quantized attention in one piece: how many rows fit at once must not enter the graph."""

    def __init__(self, name: str, processor: QuantAttnProcessor) -> None:
        nn.Module.__init__(self)
        self.name = name
        for operand in OPERANDS:
            self.add_module(operand, _activation(getattr(processor, operand)))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Any) -> Tensor:
        scores = _Mark.apply(q @ k.transpose(-1, -2), f"{self.name}#scores") * scale
        if mask is not None:
            scores = scores + mask
        shares = self.softmax(scores.softmax(dim=-1))  # [N, heads, L, S]
        out: Tensor = _Mark.apply(shares @ v, f"{self.name}#values")
        return out


def for_export(denoiser: nn.Module) -> list[str]:
    """Replace a denoiser's layers and quantized attention, in place; the names of its layers."""
    twins: dict[nn.Module, nn.Module] = {
        module: Layer(name, module)
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    twins |= {
        module: WholeAttention(name.removesuffix(".processor"), module)
        for name, module in denoiser.named_modules()
        if isinstance(module, QuantAttnProcessor)
    }
    _replace(denoiser, twins)
    return [twin.name for twin in twins.values() if isinstance(twin, Layer)]


def _replace(root: nn.Module, twins: Mapping[nn.Module, nn.Module]) -> None:
    for parent in list(root.modules()):
        for key, child in list(parent._modules.items()):
            if child is not None and child in twins:
                parent._modules[key] = twins[child]


def _seam(layer: nn.Module) -> int | None:
    """Where input, weight, or both are split."""
    if not isinstance(layer, QuantLayer):
        return None
    seam = getattr(layer.input_quantizer, "seam", None)
    return seam if seam is not None else layer.weight_seam


def _activation(quantizer: nn.Module) -> nn.Module:
    if not isinstance(quantizer, FakeQuantize):
        return nn.Identity()
    assert quantizer.scale is not None
    assert quantizer.zero_point is not None
    return _on_grid(quantizer.scale, quantizer.zero_point, quantizer.bits)


def _on_grid(scale: Tensor, zero_point: Tensor, bits: int) -> nn.Module:
    return (Activation if bits <= 8 else FineActivation)(scale, zero_point, bits)


def _activations(layer: nn.Module, seam: int | None) -> list[nn.Module]:
    """One grid, or one for each half."""
    grid = layer.input_quantizer if isinstance(layer, QuantLayer) else nn.Identity()
    if isinstance(grid, FakeQuantize) and grid.seam is not None:
        assert grid.scale is not None
        assert grid.zero_point is not None
        pairs = zip(grid.scale, grid.zero_point, strict=True)
        return [_on_grid(scale, zero_point, grid.bits) for scale, zero_point in pairs]
    return [_activation(grid) for _ in range(1 if seam is None else 2)]


def _weights(layer: nn.Conv2d | nn.Linear, seam: int | None) -> list[nn.Module]:
    """The weight, or the slice of it for each half."""
    levels = layer.weight_levels() if isinstance(layer, QuantLayer) else None
    if levels is None:
        whole = layer.weight.detach()
        parts = (whole,) if seam is None else halves(whole, seam)
        linear = isinstance(layer, nn.Linear)
        return [FloatWeight(part.T if linear else part) for part in parts]
    assert isinstance(layer, QuantLayer)
    scale, zero_point, bits = layer.weight_scale, layer.weight_zero_point, layer.weight_bits
    assert scale is not None
    assert zero_point is not None
    assert bits is not None
    if seam is None:
        grids = [(levels, scale, zero_point)]
    else:
        own = layer.weight_seam is not None
        columns = [(scale[:, i], zero_point[:, i]) if own else (scale, zero_point) for i in (0, 1)]
        grids = [(part, *grid) for part, grid in zip(halves(levels, seam), columns, strict=True)]
    made = [Weight(*grid, bits) for grid in grids]
    return [w.transposed() if isinstance(layer, nn.Linear) else w for w in made]
