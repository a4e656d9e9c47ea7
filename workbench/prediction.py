"""What a plan would do to the activations, read off the capture: no model, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.quant.plan import QuantPlan
from analysis.quant.scheme import QuantScheme
from analysis.quant.whatif import predict_sqnr_db, sqnr_db
from analysis.records import ActivationStats, Array, LayerRef
from workbench.captures import OpenCapture
from workbench.recipe import overrides_of, plan_of
from workbench.session import Session

__all__ = ["PlannedLayers", "plan_of", "planned", "predicted"]


@dataclass(frozen=True)
class PlannedLayers:
    """A capture's layers as a plan wants to see them."""

    layers: tuple[LayerRef, ...]
    first_layer: str
    last_layer: str

    @classmethod
    def of(cls, opened: OpenCapture) -> PlannedLayers:
        return cls(opened.layers, opened.first_layer, opened.last_layer)


def planned(session: Session) -> QuantPlan:
    """The plan that is set in Quantize, with the layers that have bits of their own."""
    return plan_of(session.selection, overrides_of(session))


def predicted(opened: OpenCapture, plan: QuantPlan) -> Array:
    """SQNR in dB [L] of every layer's input over all timesteps; `inf` where it stays float."""
    return opened.remembered(("plan", str(plan), plan), lambda: _predict(opened, plan))


def _predict(opened: OpenCapture, plan: QuantPlan) -> Array:
    schemes = plan.resolve(PlannedLayers.of(opened))
    split = {s.layer for s in opened.capture.shortcuts} if plan.split else set()
    out = []
    for name in opened.names:
        act = schemes[name].act
        if act is None:
            out.append(np.inf)
            continue
        # One layer's bits are changed at a time: what is known of all others is looked up.
        known = opened.remembered(("inputs", act, plan.split), dict)
        if name not in known:
            parts = [f"{name}#h", f"{name}#skip"] if name in split else [name]
            known[name] = _of_parts([opened.capture[part].total for part in parts], act)
        out.append(known[name])
    return np.array(out)


def _of_parts(parts: list[ActivationStats], act: QuantScheme) -> float:
    """SQNR in dB of a tensor whose parts have grids of their own."""
    ratios = [float(predict_sqnr_db(p, act.bits, act.symmetric, act.estimator)) for p in parts]
    if len(parts) == 1:
        return ratios[0]
    powers = np.array([p.count * (p.mean**2 + p.std**2) for p in parts])
    return float(sqnr_db(powers.sum(), (powers / 10 ** (np.array(ratios) / 10)).sum()))
