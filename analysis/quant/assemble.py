"""Put quantized layers in the place of float ones, in a copy of the denoiser."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from diffusers.models.attention_processor import Attention
from diffusers.models.lora import LoRACompatibleConv, LoRACompatibleLinear
from torch import Tensor, nn

from analysis.models.handle import ModelHandle
from analysis.quant.attention import OPERANDS, QuantAttnProcessor, why_not_attention
from analysis.quant.modules import QuantConv2d, QuantLayer, QuantLinear
from analysis.quant.qparams import LayerQParams, QParams
from analysis.records import LayerRef

_KNOWN = (
    nn.Conv2d,
    nn.Linear,
    LoRACompatibleConv,
    LoRACompatibleLinear,
    QuantConv2d,
    QuantLinear,
)


def why_not(denoiser: nn.Module, layer: LayerRef) -> str | None:
    """Why a layer must stay float whatever the plan says; `None` if it can be quantized."""
    module = denoiser.get_submodule(layer.module)
    if isinstance(module, Attention):
        if layer.tap in ("q", "k") and getattr(module, f"norm_{layer.tap}") is not None:
            return f"its range is known before norm_{layer.tap} only"
        return why_not_attention(module)
    if type(module) not in _KNOWN:
        return f"a {type(module).__name__} may compute more than its weight says"
    if getattr(module, "lora_layer", None) is not None:
        return "it carries an unfused LoRA; fuse it first"
    return None


def assemble(
    handle: ModelHandle,
    qparams: Mapping[str, LayerQParams],
    weights: Mapping[str, Tensor] | None = None,
) -> ModelHandle:
    """A handle on a copy of the denoiser in which the named layers are quantized.

    Layers without an entry, or with nothing but `None` in it, are left untouched, attention
    included. The original shares no parameter with the copy.

    Args:
        weights: layer name -> weight [C_out, ...] to round in place of the layer's own.
    """
    denoiser = copy.deepcopy(handle.denoiser)
    twins: dict[nn.Module, nn.Module] = {}
    for name, grids in qparams.items():
        if "#" in name or grids.is_float:
            continue
        layer = denoiser.get_submodule(name)
        twins[layer] = _twin(layer, grids, (weights or {}).get(name))
    _replace(denoiser, twins)
    for name, operands in _attention_operands(qparams).items():
        attention = denoiser.get_submodule(name)
        assert isinstance(attention, Attention)
        processor = QuantAttnProcessor(operands, attention.to_q.weight.device)
        attention.set_processor(processor.train(attention.training))
    return handle.with_denoiser(denoiser)


def weight_of(denoiser: nn.Module, name: str) -> Tensor:
    """The weight [C_out, ...] of a convolution or a linear map, without its gradient."""
    weight = denoiser.get_submodule(name).weight
    assert isinstance(weight, Tensor)
    return weight.detach()


def quant_layers(denoiser: nn.Module) -> dict[str, QuantLayer]:
    """The quantized convolutions and linear maps of a converted denoiser, by name."""
    return {n: m for n, m in denoiser.named_modules() if isinstance(m, QuantLayer)}


def _twin(layer: nn.Module, grids: LayerQParams, weight: Tensor | None) -> nn.Module:
    if isinstance(layer, nn.Conv2d):
        return QuantConv2d.from_float(layer, grids.weight, grids.act, weight)
    assert isinstance(layer, nn.Linear)
    return QuantLinear.from_float(layer, grids.weight, grids.act, weight)


def _replace(root: nn.Module, twins: Mapping[nn.Module, nn.Module]) -> None:
    """Replace modules wherever they hang: diffusers files some under two names."""
    for parent in list(root.modules()):
        for key, child in list(parent._modules.items()):
            if child is not None and child in twins:
                parent._modules[key] = twins[child]


def _attention_operands(
    qparams: Mapping[str, LayerQParams],
) -> dict[str, dict[str, QParams | None]]:
    """Attention module -> operand -> grid, for the modules that have any."""
    found: dict[str, dict[str, QParams | None]] = {}
    for name, grids in qparams.items():
        module, _, tap = name.partition("#")
        if tap in OPERANDS and grids.act is not None:
            found.setdefault(module, {})[tap] = grids.act
    return found
