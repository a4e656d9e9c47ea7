"""From a plan and statistics to the numbers of every grid."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import weight_of, why_not
from analysis.quant.plan import LayerPlan, QuantPlan
from analysis.quant.qparams import LayerQParams, QParams, act_qparams, weight_qparams
from analysis.quant.scheme import QuantScheme
from analysis.quant.split import TAPS, split_act_qparams, split_weight_qparams
from analysis.records import ActivationStats, LayerRef

NO_STATISTICS = "its activations stay float: the calibration holds no statistics of them"
NO_HALVES = "its halves share one grid: the calibration holds no statistics of each"
GROUPED = "its halves share one grid: a grouped convolution has no slice for each"


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
    plans, seams = plan.resolve(handle), seams_of(handle, plan)
    grids: dict[str, LayerQParams] = {}
    skipped = dict.fromkeys(handle.trace.never_ran, "it took no part when the model was run")
    for done, layer in enumerate(handle.layers):
        check_stop(should_stop)
        report(progress, done, len(plans), layer.name)
        wanted, seam = plans[layer.name], seams.get(layer.name)
        if wanted == LayerPlan(None, None):
            continue
        reason = why_not(handle.denoiser, layer)
        if reason is None:
            if seam is not None and _grouped(handle, layer):
                seam, reason = None, GROUPED
            grids[layer.name] = _grids(handle, layer, wanted, stats, seam)
            reason = _less(wanted, grids[layer.name], seam) or reason
        if reason is not None:
            skipped[layer.name] = reason
    report(progress, len(plans), len(plans), "ranges are set")
    return grids, skipped


def seams_of(handle: ModelHandle, plan: QuantPlan) -> dict[str, int]:
    """Layer name -> channel at which the plan splits its input and its weight."""
    plain = handle.shortcuts if plan.split else ()
    normed = handle.normed_shortcuts if plan.split_norm else ()
    return {shortcut.layer: shortcut.channels_h for shortcut in (*plain, *normed)}


def observed_for(handle: ModelHandle, plan: QuantPlan) -> ModelHandle:
    """The handle to capture with: every half that the plan gives a grid is observed."""
    return handle.with_normed_halves() if plan.split_norm else handle


def _grids(
    handle: ModelHandle,
    layer: LayerRef,
    plan: LayerPlan,
    stats: Mapping[str, ActivationStats],
    seam: int | None,
) -> LayerQParams:
    try:
        weight = None
        if plan.weight is not None:
            values = weight_of(handle.denoiser, layer.module)
            weight = (
                weight_qparams(values, plan.weight)
                if seam is None
                else split_weight_qparams(values, seam, plan.weight)
            )
        act = None if plan.act is None else _act_grid(layer.name, plan.act, stats, seam)
        return LayerQParams(weight, act)
    except UserError as error:
        raise UserError(f"{layer.name} cannot be quantized: {error}") from None


def _act_grid(
    name: str, scheme: QuantScheme, stats: Mapping[str, ActivationStats], seam: int | None
) -> QParams | None:
    taps = [f"{name}#{tap}" for tap in TAPS]
    if seam is not None and all(tap in stats for tap in taps):
        return split_act_qparams(stats[taps[0]], stats[taps[1]], seam, scheme)
    return act_qparams(stats[name], scheme) if name in stats else None


def _less(plan: LayerPlan, grids: LayerQParams, seam: int | None) -> str | None:
    """Why the activations got less than the plan asks for; `None` if they did not."""
    if plan.act is None:
        return None
    if grids.act is None:
        return NO_STATISTICS
    return NO_HALVES if seam is not None and grids.act.seam is None else None


def _grouped(handle: ModelHandle, layer: LayerRef) -> bool:
    return getattr(handle.denoiser.get_submodule(layer.name), "groups", 1) != 1
