"""The walks of the methods that learn: what each lets its blocks learn, and on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analysis.methods.eda_dm import joint_phase
from analysis.methods.qdiffusion import scale_phase, weight_phase
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan


@dataclass(frozen=True)
class Walk:
    """One walk; with `act` the model's activations are quantized in it."""

    phase: Phase
    act: bool


LEARNERS: dict[str, Callable[[Any, QuantPlan], list[Walk]]] = {
    "q-diffusion": lambda config, plan: [
        Walk(weight_phase(config), act=False),
        Walk(scale_phase(config), act=True),
    ],
    "eda-dm": lambda config, plan: [Walk(joint_phase(config, plan), act=True)],
}


def walks_of(method: str, config: Any, plan: QuantPlan) -> list[Walk]:
    """The walks that a method makes; none for one that learns nothing, or is set so."""
    walks = LEARNERS[method](config, plan) if method in LEARNERS else []
    return [walk for walk in walks if walk.phase.iterations]
