"""What a plan would do to the activations, read off the capture: no model, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.quant.plan import QuantPlan
from analysis.quant.whatif import predict_sqnr_db
from analysis.records import Array, LayerRef
from workbench.captures import OpenCapture
from workbench.selection import Selection


@dataclass(frozen=True)
class PlannedLayers:
    """A capture's layers as a plan wants to see them."""

    layers: tuple[LayerRef, ...]
    first_layer: str
    last_layer: str


def plan_of(selection: Selection) -> QuantPlan:
    """The plan that the visitor has set in Quantize."""
    return QuantPlan.parse(
        selection.plan,
        weight_estimator=selection.weight_estimator,
        act_estimator=selection.act_estimator,
        edge_bits=8 if selection.edges else None,
    )


def predicted(opened: OpenCapture, plan: QuantPlan) -> Array:
    """SQNR in dB [L] of every layer's input over all timesteps; `inf` where it stays float."""
    return opened.remembered(("plan", str(plan), plan), lambda: _predict(opened, plan))


def _predict(opened: OpenCapture, plan: QuantPlan) -> Array:
    schemes = plan.resolve(PlannedLayers(opened.layers, opened.first_layer, opened.last_layer))
    out = []
    for name in opened.names:
        act = schemes[name].act
        if act is None:
            out.append(np.inf)
        else:
            total = opened.capture[name].total
            out.append(float(predict_sqnr_db(total, act.bits, act.symmetric, act.estimator)))
    return np.array(out)
