"""A quantized block in the form in which it learns."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from analysis.quant.half_conv import convolution
from analysis.quant.learned_scale import LearnedQuantize
from analysis.quant.modules import FakeQuantize, QuantConv2d, QuantLayer
from analysis.quant.rounding import SoftRounding

COARSE = 8  # bits


class SoftLayer(nn.Module):
    """A quantized layer whose weight is on its way from float to rounded."""

    def __init__(self, layer: QuantLayer, weight: Tensor | None) -> None:
        super().__init__()
        self.quantized = layer
        if weight is not None:
            levels = 2 ** (layer.weight_bits or 0)
            self.rounding = SoftRounding(weight, *layer.weight_grid(), levels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.quantized.input_quantizer(x)
        weight = self.rounding() if hasattr(self, "rounding") else self.quantized.weight
        if isinstance(self.quantized, QuantConv2d):
            return convolution(x, weight, self.quantized)
        return functional.linear(x, weight, self.quantized.bias)


def learnable(
    unit: nn.Module, weights: Mapping[str, Tensor], learn_scales: bool, drop: float = 0.0
) -> nn.Module:
    """A copy of a quantized unit, in which nothing but roundings and scales needs a gradient.

    Only QDrop drops anything: dropout of the model's own stays asleep.

    Args:
        weights: layer name within the unit -> float weight [C_out, ...] whose rounding is to be
            learned; other weights stay as they are.
        learn_scales: whether the scale of every activation of up to 8 bits is a parameter.
            Where there are more, rounding costs less than any step of a scale.
        drop: QDrop's probability for elements of activations.
    """
    twin = copy.deepcopy(unit).requires_grad_(False).eval()
    quantizers = [(n, m) for n, m in twin.named_modules() if isinstance(m, FakeQuantize)]
    layers = [(n, m) for n, m in twin.named_modules() if isinstance(m, QuantLayer)]
    for name, quantizer in quantizers:
        if learn_scales and quantizer.bits <= COARSE:
            twin = _put(twin, name, _learned(quantizer, drop))
    for name, layer in layers:
        twin = _put(twin, name, SoftLayer(layer, weights.get(name)))
    return twin


def roundings(twin: nn.Module) -> dict[str, SoftRounding]:
    """Layer name within the unit -> its rounding."""
    found = {n: m for n, m in twin.named_modules() if isinstance(m, SoftLayer)}
    return {n: m.rounding for n, m in found.items() if hasattr(m, "rounding")}


def scales(twin: nn.Module) -> dict[str, nn.Parameter]:
    """Name of each activation quantizer, as it is called in the quantized unit -> its scale."""
    found = {n: m for n, m in twin.named_modules() if isinstance(m, LearnedQuantize)}
    return {_plain(n): m.scale for n, m in found.items()}


@torch.no_grad()
def settle(unit: nn.Module, twin: nn.Module) -> None:
    """Give a quantized unit what its learnable copy has learned."""
    for name, rounding in roundings(twin).items():
        unit.get_submodule(name).weight.copy_(rounding.hard())  # type: ignore[operator]
    for name, scale in scales(twin).items():
        quantizer = unit.get_submodule(name)
        assert isinstance(quantizer, FakeQuantize)
        quantizer.load_state_dict({"scale": scale, "zero_point": quantizer.zero_point})


def _learned(module: FakeQuantize, drop: float) -> nn.Module:
    assert module.scale is not None
    assert module.zero_point is not None
    learned = LearnedQuantize(module.scale, module.zero_point, module.bits, module.seam, drop)
    return learned.train()


def _put(root: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """Replace a submodule; a nameless one is the root itself."""
    if not name:
        return module
    parent, _, key = name.rpartition(".")
    root.get_submodule(parent)._modules[key] = module
    return root


def _plain(name: str) -> str:
    """A name in the copy without the steps into `SoftLayer.quantized`."""
    return ".".join(part for part in name.split(".") if part != "quantized")
