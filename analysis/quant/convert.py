"""From grids to a quantized model: assemble it, and account for what was lost and saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from analysis.models.handle import ModelHandle
from analysis.quant.assemble import assemble, quant_layers, weight_of
from analysis.quant.model import LayerRow, QuantizedModel
from analysis.quant.packing import packed_size
from analysis.quant.phase import LossPoint
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams, QParams
from analysis.quant.scheme import FLOAT_BITS
from analysis.quant.split import TAPS
from analysis.quant.whatif import noise_power, sqnr_db
from analysis.records import ActivationStats, LayerRef

QPARAM_BYTES = 8  # a float32 scale and an int32 zero point


def convert(
    handle: ModelHandle,
    plan: QuantPlan,
    qparams: Mapping[str, LayerQParams],
    *,
    method: str,
    config: Mapping[str, Any] | None = None,
    stats: Mapping[str, ActivationStats] | None = None,
    calibration: str = "",
    skipped: Mapping[str, str] | None = None,
    weights: Mapping[str, Tensor] | None = None,
    losses: Sequence[LossPoint] = (),
    notes: Sequence[str] = (),
) -> QuantizedModel:
    """Quantize a model with grids that a method has chosen; the original is left as it is.

    Args:
        qparams: tensor name -> its grids; tensors without any stay float.
        stats: tensor name -> statistics of its activations, for the table's SQNR.
        calibration: digest of the calibration.
        skipped: layer name -> why it is less than the plan asked for.
        weights: layer name -> weight [C_out, ...] to round in place of the model's own.
        losses: of blocks that have learned.
        notes: sentences about what the method could not do.
    """
    converted = assemble(handle, qparams, weights)
    rows = tuple(
        _row(layer, qparams.get(layer.name, LayerQParams()), handle, converted, stats or {})
        for layer in handle.layers
    )
    return QuantizedModel(
        handle=converted,
        plan=plan,
        method=method,
        config=dict(config or {}),
        qparams=dict(qparams),
        layers=rows,
        model_digest=handle.digest,
        calibration=calibration,
        size_bytes=quantized_size(converted.denoiser),
        float_size_bytes=float_size(handle.denoiser),
        skipped=dict(skipped or {}),
        losses=tuple(losses),
        notes=(*inapplicable(handle, plan), *notes),
    )


def inapplicable(handle: ModelHandle, plan: QuantPlan) -> list[str]:
    """What the plan asks for and this model has no place for, in sentences."""
    notes = []
    if plan.split and not handle.shortcuts:
        notes.append("The split does not apply: this model concatenates no shortcut.")
    quantizes = any(layer.act is not None for layer in plan.resolve(handle).values())
    if quantizes and not any(layer.kind == "attention" for layer in handle.layers):
        notes.append("The bits of attention do not apply: this model has no attention.")
    return notes


def float_size(denoiser: nn.Module) -> int:
    """Bytes of all parameters as they are held."""
    return sum(p.numel() * p.element_size() for p in denoiser.parameters())


def quantized_size(denoiser: nn.Module) -> int:
    """Bytes with weights packed at their bits, every grid's numbers, and the rest in float."""
    size = float_size(denoiser)
    for layer in quant_layers(denoiser).values():
        if layer.weight_bits is not None:
            weight = layer.weight
            size += packed_size(weight.numel(), layer.weight_bits)
            size -= weight.numel() * weight.element_size()
    grids = sum(b.numel() for n, b in denoiser.named_buffers() if n.endswith("scale"))
    return size + grids * QPARAM_BYTES


def _row(
    layer: LayerRef,
    grids: LayerQParams,
    before: ModelHandle,
    after: ModelHandle,
    stats: Mapping[str, ActivationStats],
) -> LayerRow:
    noise = 0.0  # relative to the signal
    if grids.weight is not None:
        noise += _weight_noise(layer.module, before.denoiser, after.denoiser)
    if grids.act is not None:
        noise += _act_noise(layer.name, stats, grids.act)
    has_weight = layer.kind in ("conv", "linear")
    ratio = float(sqnr_db(1.0, noise))
    return LayerRow(
        name=layer.name,
        weight_bits=_bits(grids.weight) if has_weight else None,
        act_bits=_bits(grids.act),
        sqnr_db=ratio if math.isfinite(ratio) else None,
    )


def _bits(grid: QParams | None) -> int:
    return FLOAT_BITS if grid is None else grid.bits


def _weight_noise(name: str, before: nn.Module, after: nn.Module) -> float:
    weight = weight_of(before, name).double()
    rounded = weight_of(after, name).double()
    power = weight.square().sum().item()
    return (weight - rounded).square().sum().item() / power if power > 0 else 0.0


def _act_noise(name: str, stats: Mapping[str, ActivationStats], grid: QParams) -> float:
    """Noise over signal of an activation; of both halves together where it is split."""
    names = [name] if grid.seam is None else [f"{name}#{tap}" for tap in TAPS]
    if not all(part in stats for part in names):
        return 0.0
    signal = noise = 0.0
    for part, scale, zero_point in zip(
        names, grid.scale.reshape(-1), grid.zero_point.reshape(-1), strict=True
    ):
        of, count = stats[part], stats[part].count
        edges = of.histogram.edges.clip(of.min, of.max)
        error = noise_power(of.histogram.counts, edges, scale, zero_point, grid.bits)
        signal += count * (of.mean**2 + of.std**2)
        noise += count * float(error)
    return noise / signal if signal > 0 else 0.0
