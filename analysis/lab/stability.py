"""How much of a calibration is luck: the same sampler with other seeds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from analysis.calibration.run import calibrate
from analysis.calibration.samplers import SAMPLERS
from analysis.errors import check_whole
from analysis.lab.draw import Sampling
from analysis.lab.effect import HeldOut, check_rounds_activations, effect_of
from analysis.lab.parts import in_parts
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop
from analysis.quant.plan import QuantPlan
from analysis.records import Array


@dataclass(frozen=True)
class Stability:
    """One calibration repeated with K seeds."""

    seeds: tuple[int, ...]  # [K]
    layers: tuple[str, ...]  # [L]
    scales: Array  # [K, L] in activation units
    sqnr_db: Array  # [K] of the predicted noise, one step, all timesteps

    @property
    def spread(self) -> Array:
        """Sample standard deviation of each layer's scale over the seeds, by its mean [L]."""
        return self.scales.std(axis=0, ddof=1) / self.scales.mean(axis=0)


def stability(
    model: ModelHandle,
    plan: QuantPlan,
    held: HeldOut,
    sampler: str,
    size: int,
    steps: int,
    seed: int = 0,
    repeats: int = 5,
    how: Sampling | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    **options: Any,
) -> Stability:
    """Draw, round and measure `repeats` times, with the seeds `seed`, `seed` + 1, ...

    Every repeat is judged by the same held-out samples.

    Raises:
        UserError: for fewer than two repeats, and as `calibrate` and `effect_of`.
        Cancelled: when `should_stop` says so.
    """
    check_whole("repeats", repeats, 2)
    check_rounds_activations(model, plan)
    if "shared_runs" in SAMPLERS.get(sampler).__dataclass_fields__:
        options = {"shared_runs": True, **options}
    parts = iter(in_parts(progress, (1.0, 2.0) * repeats))
    seeds = tuple(range(seed, seed + repeats))
    effects = []
    for one in seeds:
        drawing, measuring = next(parts), next(parts)
        calibration = calibrate(
            model,
            sampler,
            size,
            one,
            steps,
            with_report=False,
            progress=drawing,
            should_stop=should_stop,
            **asdict(how or Sampling()),
            **options,
        )
        effects.append(effect_of(model, calibration, plan, held, measuring, should_stop))
    return Stability(
        seeds=seeds,
        layers=effects[0].layers,
        scales=np.stack([effect.scales for effect in effects]),
        sqnr_db=np.array([effect.sqnr_db for effect in effects]),
    )
