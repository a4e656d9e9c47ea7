"""What it costs that integer kernels take symmetric weights only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from torch import Tensor

from analysis.metrics.image import psnr
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample
from analysis.progress import Progress, ShouldStop, report
from analysis.quant.assemble import assemble, weight_of
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan, Rule
from analysis.quant.qparams import LayerQParams, weight_qparams
from analysis.quant.scheme import QuantScheme
from analysis.quant.split import split_weight_qparams
from analysis.records import SamplingSpec


@dataclass(frozen=True)
class SymmetryCost:
    """PSNR to the float model in dB of both kinds of weights, all else equal.

    All weights are rounded to nearest, on the activation grids of the model that was asked about.
    """

    symmetric_db: float
    asymmetric_db: float

    @property
    def cost_db(self) -> float:
        """What symmetric weights lose; below 0 where they win."""
        if self.asymmetric_db == self.symmetric_db:  # both may be infinite
            return 0.0
        return self.asymmetric_db - self.symmetric_db


def symmetry_cost(
    model: ModelHandle,
    quantized: QuantizedModel,
    spec: SamplingSpec,
    reference: Tensor,
    own: Tensor | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> SymmetryCost:
    """Sample a model's plan with symmetric and with asymmetric weights.

    Args:
        reference: [N, C, H, W] in [0, 1], the float model's pictures for `spec`.
        own: the quantized model's pictures, so that they need not be sampled again where it is
            one of the two.

    Raises:
        Cancelled: when `should_stop` says so.
    """

    def db(symmetric: bool) -> float:
        grids = with_weights(model, quantized, symmetric)
        if own is not None and quantized.method == "rtn" and _equal(grids, quantized.qparams):
            return psnr(reference, own)
        kind = "symmetric" if symmetric else "asymmetric"
        told = partial(_with_text, progress, f"simulating {kind} weights")
        handle = assemble(model, grids)
        return psnr(reference, sample(handle, spec, progress=told, should_stop=should_stop))

    return SymmetryCost(symmetric_db=db(True), asymmetric_db=db(False))


def with_weights(
    model: ModelHandle, quantized: QuantizedModel, symmetric: bool
) -> dict[str, LayerQParams]:
    """The model's grids, those of its weights chosen anew by the plan's own estimators."""
    plans = _with_symmetry(quantized.plan, symmetric).resolve(model)
    return {
        name: _layer(model, name, grids, plans[name].weight)
        for name, grids in quantized.qparams.items()
    }


def _layer(
    model: ModelHandle, name: str, grids: LayerQParams, scheme: QuantScheme | None
) -> LayerQParams:
    if grids.weight is None or scheme is None:
        return grids
    weight, seam = weight_of(model.denoiser, name), grids.weight.seam
    if seam is None:
        return replace(grids, weight=weight_qparams(weight, scheme))
    return replace(grids, weight=split_weight_qparams(weight, seam, scheme))


def _with_symmetry(plan: QuantPlan, symmetric: bool) -> QuantPlan:
    def changed(rule: Rule) -> Rule:
        return replace(rule, weight=replace(rule.weight, symmetric=symmetric))

    return replace(plan, base=changed(plan.base), overrides=tuple(map(changed, plan.overrides)))


def _equal(one: Mapping[str, LayerQParams], other: Mapping[str, LayerQParams]) -> bool:
    """Whether all weights are on the same grids."""
    pairs = [(one[name].weight, other[name].weight) for name in one]
    return all(
        a is b
        or (
            a is not None
            and b is not None
            and np.array_equal(a.scale, b.scale)
            and np.array_equal(a.zero_point, b.zero_point)
        )
        for a, b in pairs
    )


def _with_text(progress: Progress | None, text: str, done: int, total: int, _: str) -> None:
    report(progress, done, total, text)
