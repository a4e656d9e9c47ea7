"""From a plan and statistics to the numbers of every grid."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import weight_of, why_not
from analysis.quant.plan import LayerPlan, QuantPlan
from analysis.quant.qparams import LayerQParams, act_qparams, weight_qparams
from analysis.records import ActivationStats, LayerRef

NO_STATISTICS = "its activations stay float: the calibration holds no statistics of them"


def estimate_qparams(
    handle: ModelHandle,
    plan: QuantPlan,
    stats: Mapping[str, ActivationStats],
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[dict[str, LayerQParams], dict[str, str]]:
    """The grids of every layer that the plan quantizes, and why others stay float.

    Args:
        stats: tensor name -> statistics of its activations.

    Returns:
        Layer name -> grids, and layer name -> the reason why it is less than the plan asks for.
    """
    plans = plan.resolve(handle)
    grids: dict[str, LayerQParams] = {}
    skipped = dict.fromkeys(handle.trace.never_ran, "it took no part when the model was run")
    for done, layer in enumerate(handle.layers):
        check_stop(should_stop)
        report(progress, done, len(plans), layer.name)
        wanted = plans[layer.name]
        if wanted == LayerPlan(None, None):
            continue
        reason = why_not(handle.denoiser, layer)
        if reason is None:
            grids[layer.name] = _grids(handle, layer, wanted, stats.get(layer.name))
            missing = wanted.act is not None and layer.name not in stats
            reason = NO_STATISTICS if missing else None
        if reason is not None:
            skipped[layer.name] = reason
    report(progress, len(plans), len(plans), "ranges are set")
    return grids, skipped


def _grids(
    handle: ModelHandle, layer: LayerRef, plan: LayerPlan, stats: ActivationStats | None
) -> LayerQParams:
    try:
        weight = act = None
        if plan.weight is not None:
            weight = weight_qparams(weight_of(handle.denoiser, layer.module), plan.weight)
        if plan.act is not None and stats is not None:
            act = act_qparams(stats, plan.act)
        return LayerQParams(weight, act)
    except UserError as error:
        raise UserError(f"{layer.name} cannot be quantized: {error}") from None
