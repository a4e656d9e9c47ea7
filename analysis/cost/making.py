"""What it costs to set ranges and to round weights, from some of the layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from analysis.cost.watch import Watch
from analysis.models.handle import ModelHandle
from analysis.quant.assemble import weight_of, why_not
from analysis.quant.convert import float_size
from analysis.quant.plan import LayerPlan, QuantPlan, Rule
from analysis.quant.primitives import fake_quantize
from analysis.quant.qparams import QParams, act_qparams, weight_qparams
from analysis.records import ActivationStats, LayerRef

ENOUGH = 0.2  # seconds that layers are tried
LEAST = 3  # layers
DOUBLE = 8  # bytes; the loss of a weight is worked out in double precision
WORKING = 3  # tensors of a layer's weight in double precision at once


@dataclass(frozen=True)
class Making:
    """Seconds for ranges of weights and of activations, and for rounding; bytes at the peak."""

    weights: float
    acts: float
    conversion: float
    extra: int


@dataclass(frozen=True)
class _Tried:
    """One layer: how many weights and activations it has, and seconds for each."""

    values: int
    acts: int
    weight: float
    act: float
    rounding: float


def probe_making(
    handle: ModelHandle, plan: QuantPlan, stats: Mapping[str, ActivationStats], watch: Watch
) -> Making:
    """Set the ranges of layers in random order for a fifth of a second.

    Work on weights is taken to grow with their number; activations, whose ranges are searched on
    histograms, to cost the same each. The copy of the model and the loss of its largest weight
    make the memory.
    """
    plans = plan.resolve(handle)
    layers = [one for one in handle.layers if why_not(handle.denoiser, one) is None]
    tried = _try_some(handle, layers, plans, stats, watch)
    sizes = [_size(handle, one) for one in layers if plans[one.name].weight is not None]
    acting = sum(plans[one.name].act is not None and one.name in stats for one in layers)
    of_weights = _ratio(sum(sizes), sum(one.values for one in tried))
    of_acts = _ratio(acting, sum(one.acts for one in tried))
    return Making(
        of_weights * sum(one.weight for one in tried),
        of_acts * sum(one.act for one in tried),
        of_weights * sum(one.rounding for one in tried),
        float_size(handle.denoiser) + WORKING * DOUBLE * max(sizes, default=0),
    )


def plain_plan(plan: QuantPlan) -> QuantPlan:
    """The same bits, ranges from minimum and maximum."""

    def plain(rule: Rule) -> Rule:
        weight, act = (replace(one, estimator="minmax") for one in (rule.weight, rule.act))
        return replace(rule, weight=weight, act=act)

    return replace(plan, base=plain(plan.base), overrides=tuple(map(plain, plan.overrides)))


def _try_some(
    handle: ModelHandle,
    layers: Sequence[LayerRef],
    plans: Mapping[str, LayerPlan],
    stats: Mapping[str, ActivationStats],
    watch: Watch,
) -> list[_Tried]:
    found: list[_Tried] = []
    started = watch.seconds()
    for i in np.random.default_rng(0).permutation(len(layers)).tolist():
        if len(found) >= LEAST and watch.seconds() - started > ENOUGH:
            break
        wanted, known = plans[layers[i].name], stats.get(layers[i].name)
        found.append(_try(handle, layers[i], wanted, known, watch))
    return found


def _try(
    handle: ModelHandle,
    layer: LayerRef,
    plan: LayerPlan,
    known: ActivationStats | None,
    watch: Watch,
) -> _Tried:
    marks, values, acts = [watch.seconds()], 0, 0
    grid, weight = None, None
    if plan.weight is not None:
        weight = weight_of(handle.denoiser, layer.module)
        grid, values = weight_qparams(weight, plan.weight), weight.numel()
    marks.append(watch.seconds())
    if plan.act is not None and known is not None:
        act_qparams(known, plan.act)
        acts = 1
    marks.append(watch.seconds())
    if weight is not None and grid is not None:
        _round(weight, grid)
    marks.append(watch.seconds())
    return _Tried(values, acts, *np.diff(marks).tolist())


def _round(weight: Tensor, grid: QParams) -> None:
    """What a conversion does with a weight: copy, round, and measure the loss."""
    scale, zero_point = grid.tensors(weight.device)
    rounded = fake_quantize(weight.clone(), scale, zero_point, grid.bits).double()
    exact = weight.double()
    float((exact - rounded).square().sum() / exact.square().sum().clamp_min(1e-30))


def _size(handle: ModelHandle, layer: LayerRef) -> int:
    return weight_of(handle.denoiser, layer.module).numel()


def _ratio(all_of_them: int, some: int) -> float:
    return all_of_them / some if some else 1.0
