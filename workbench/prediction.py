"""What a plan would do to the activations, read off the capture: no model, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.quant.plan import QuantPlan
from analysis.quant.scheme import QuantScheme
from analysis.quant.whatif import predict_sqnr_db, sqnr_db
from analysis.range_search import estimate_ranges
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
    acts = {name: scheme.act for name, scheme in schemes.items() if scheme.act is not None}
    values: dict[str, float] = {}
    for act in dict.fromkeys(acts.values()):
        # One layer's bits are changed at a time: what is known of all others is looked up.
        known = opened.remembered(("inputs", act, plan.split), dict)
        alike = [name for name, other in acts.items() if other == act]
        parts = {n: _parts(opened, n, split) for n in alike if n not in known}
        known.update(_of_parts(parts, act))
        values |= {name: known[name] for name in alike}
    return np.array([values.get(name, np.inf) for name in opened.names])


def _parts(opened: OpenCapture, name: str, split: set[str]) -> list[ActivationStats]:
    """A layer's input, or the halves that have grids of their own."""
    names = [f"{name}#h", f"{name}#skip"] if name in split else [name]
    return [opened.capture[part].total for part in names]


def _of_parts(layers: dict[str, list[ActivationStats]], act: QuantScheme) -> dict[str, float]:
    """SQNR in dB of each layer's input under one scheme."""
    every = [part for parts in layers.values() for part in parts]
    ends = estimate_ranges(every, act.bits, act.symmetric, act.estimator).tolist()
    ranges = dict(zip(map(id, every), map(tuple, ends), strict=True))
    out = {}
    for name, parts in layers.items():
        ratios = [
            float(predict_sqnr_db(p, act.bits, act.symmetric, act.estimator, ranges[id(p)]))
            for p in parts
        ]
        powers = np.array([p.count * (p.mean**2 + p.std**2) for p in parts])
        noise = powers / 10 ** (np.array(ratios) / 10)
        out[name] = ratios[0] if len(parts) == 1 else float(sqnr_db(powers.sum(), noise.sum()))
    return out
