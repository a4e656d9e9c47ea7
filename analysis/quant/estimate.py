"""From a plan and statistics to the numbers of every grid."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch

from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import weight_of, why_not
from analysis.quant.plan import LayerPlan, QuantPlan
from analysis.quant.qparams import LayerQParams, QParams, act_qparams, weight_qparams
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
    grids: dict[str, LayerQParams] = {}
    skipped = dict.fromkeys(handle.trace.never_ran, "it took no part when the model was run")
    wishes = _wishes(handle, plan, skipped)
    # numpy lets go of the interpreter while it searches, so that layers can be searched at once.
    pool = ThreadPoolExecutor(torch.get_num_threads())
    try:
        acts = [pool.submit(_act_grid, wish, stats) for wish in wishes]
        for done, (wish, act) in enumerate(zip(wishes, acts, strict=True)):
            check_stop(should_stop)
            report(progress, done, len(wishes), wish.layer.name)
            grids[wish.layer.name] = found = _grids(handle, wish, act)
            if less := _less(wish, found):
                skipped[wish.layer.name] = less
    finally:
        pool.shutdown(cancel_futures=True)
    report(progress, len(wishes), len(wishes), "ranges are set")
    return grids, skipped


@dataclass(frozen=True)
class _Wish:
    """What the plan asks of a layer that can be quantized."""

    layer: LayerRef
    plan: LayerPlan
    seam: int | None


def _wishes(handle: ModelHandle, plan: QuantPlan, skipped: dict[str, str]) -> list[_Wish]:
    """What is to be quantized; what cannot be as the plan asks gets its reason in `skipped`."""
    plans, seams = plan.resolve(handle), seams_of(handle, plan)
    wishes = []
    for layer in handle.layers:
        wanted, seam = plans[layer.name], seams.get(layer.name)
        if wanted == LayerPlan(None, None):
            continue
        if reason := why_not(handle.denoiser, layer):
            skipped[layer.name] = reason
            continue
        if seam is not None and _grouped(handle, layer):
            seam, skipped[layer.name] = None, GROUPED
        wishes.append(_Wish(layer, wanted, seam))
    return wishes


def seams_of(handle: ModelHandle, plan: QuantPlan) -> dict[str, int]:
    """Layer name -> channel at which the plan splits its input and its weight."""
    plain = handle.shortcuts if plan.split else ()
    normed = handle.normed_shortcuts if plan.split_norm else ()
    return {shortcut.layer: shortcut.channels_h for shortcut in (*plain, *normed)}


def observed_for(handle: ModelHandle, plan: QuantPlan) -> ModelHandle:
    """The handle to capture with: every half that the plan gives a grid is observed."""
    return handle.with_normed_halves() if plan.split_norm else handle


def _grids(handle: ModelHandle, wish: _Wish, act: Future[QParams | None]) -> LayerQParams:
    try:
        weight = None
        if wish.plan.weight is not None:
            values = weight_of(handle.denoiser, wish.layer.module)
            weight = (
                weight_qparams(values, wish.plan.weight)
                if wish.seam is None
                else split_weight_qparams(values, wish.seam, wish.plan.weight)
            )
        return LayerQParams(weight, act.result())
    except UserError as error:
        raise UserError(f"{wish.layer.name} cannot be quantized: {error}") from None


def _act_grid(wish: _Wish, stats: Mapping[str, ActivationStats]) -> QParams | None:
    name, scheme, seam = wish.layer.name, wish.plan.act, wish.seam
    if scheme is None:
        return None
    taps = [f"{name}#{tap}" for tap in TAPS]
    if seam is not None and all(tap in stats for tap in taps):
        return split_act_qparams(stats[taps[0]], stats[taps[1]], seam, scheme)
    return act_qparams(stats[name], scheme) if name in stats else None


def _less(wish: _Wish, grids: LayerQParams) -> str | None:
    """Why the activations got less than the plan asks for; `None` if they did not."""
    if wish.plan.act is None:
        return None
    if grids.act is None:
        return NO_STATISTICS
    return NO_HALVES if wish.seam is not None and grids.act.seam is None else None


def _grouped(handle: ModelHandle, layer: LayerRef) -> bool:
    return getattr(handle.denoiser.get_submodule(layer.name), "groups", 1) != 1
