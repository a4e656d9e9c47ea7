"""The cost of making a quantized model: its calibration, ranges, learning and conversion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from analysis.calibration.record import CalibrationSet
from analysis.calibration.samplers import SAMPLERS, make_sampler
from analysis.cost.counts import drawn_positions, set_passes
from analysis.cost.learners import walks_of
from analysis.cost.probes import Probes
from analysis.cost.record import Estimate, total
from analysis.cost.runs import calibrate_cost, capture_cost, found, observed_cost, passed
from analysis.cost.walks import PASSES
from analysis.methods import METHODS
from analysis.methods.calibrated import SetOptions
from analysis.methods.method import make_config
from analysis.methods.rtn import SAMPLES, STEPS
from analysis.models.trajectory import DEFAULT_BATCH, sampling_spec, visited_timesteps
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.run import needs_calibration
from analysis.records import Array, SamplingSpec

WORTH = 30  # iterations a unit; fewer than that cost less than a probe of them


def quantize_cost(
    probes: Probes,
    method: str = "rtn",
    plan: str | QuantPlan = "W8A8",
    calibration: Any = None,
    preset: str = "instant",
    seed: int = 0,
    without: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
    **options: Any,
) -> Estimate:
    """Of `analysis.quantize` with these arguments."""
    chosen = METHODS.get(method)
    config = make_config(chosen, preset, options, without)
    if not isinstance(plan, QuantPlan):
        plan = QuantPlan.parse(plan, **config.plan_options(), overrides=overrides)
    needed = needs_calibration(plan, probes.model, chosen.learns)
    drawn = calibration is None and needed
    stages = making(probes, method, config, plan, config if drawn else calibration, seed)
    return total(([drawing(probes, config, seed)] if drawn else []) + stages)


def drawing(probes: Probes, config: Any, seed: int) -> Estimate:
    """Of the calibration that a method's configuration describes."""
    if not isinstance(config, SetOptions):
        return capture_cost(probes, STEPS, SAMPLES, seed)
    shares = "shared_runs" in SAMPLERS.get(config.sampler).__dataclass_fields__
    options: dict[str, Any] = {"shared_runs": config.shared_runs} if shares else {}
    size, steps = config.calibration_size, config.calibration_steps
    return calibrate_cost(probes, config.sampler, size, seed, steps, with_report=False, **options)


def making(
    probes: Probes, method: str, config: Any, plan: QuantPlan, calibration: Any, seed: int
) -> list[Estimate]:
    """Of everything but the calibration itself.

    Args:
        calibration: a set, a capture, nothing, or the configuration that describes a set.
    """
    timesteps, spec = _set_of(probes, calibration, seed)
    stages = []
    acts = any(layer.act is not None for layer in plan.resolve(probes.model).values())
    if len(timesteps) and (acts or method != "q-diffusion"):
        passes = set_passes(timesteps, DEFAULT_BATCH)
        stages.append(observed_cost(probes, spec, passes, "statistics"))
    if len(timesteps):
        stages += _learning(probes, method, config, plan, spec, len(timesteps))
    made = probes.making(plan, calibration)
    searches = 2 if method == "q-diffusion" else 1  # once for its walk, once with statistics
    seconds = searches * made.weights + made.acts / torch.get_num_threads()  # searched at once
    ranges = found(probes, seconds, 0, "ranges")
    most = probes.watch.held() + made.extra
    return [*stages, ranges, found(probes, made.conversion, most, "conversion")]


def _learning(
    probes: Probes, method: str, config: Any, plan: QuantPlan, spec: SamplingSpec, size: int
) -> list[Estimate]:
    stages = []
    for walk in walks_of(method, config, plan):
        if walk.phase.iterations < WORTH:
            stages.append(_short_walk(probes, walk.phase, spec, size))
            continue
        cost = probes.walk(plan, walk.phase, walk.act, spec)
        seconds = cost.seconds(walk.phase, size)
        stages.append(found(probes, seconds, cost.bytes(size), walk.phase.name))
    return stages


def _short_walk(probes: Probes, phase: Phase, spec: SamplingSpec, size: int) -> Estimate:
    """Of a walk too short to be probed: an iteration of all units is about three passes."""
    count = round(PASSES * (phase.iterations * phase.batch + size) / DEFAULT_BATCH)
    return passed(probes, spec, Counter({DEFAULT_BATCH: max(1, count)}), 0, phase.name)


def _set_of(probes: Probes, calibration: Any, seed: int) -> tuple[Array, SamplingSpec]:
    """Timesteps [N] of the calibration set, none where there is no set; how its runs go."""
    if isinstance(calibration, CalibrationSet):
        spec = calibration.spec or sampling_spec(probes.model, samples=1, seed=seed)
        return calibration.t, spec
    if not isinstance(calibration, SetOptions):
        return np.zeros(0), sampling_spec(probes.model, samples=1, seed=seed)
    spec = sampling_spec(probes.model, calibration.calibration_steps, 1, seed)
    timesteps, chosen = visited_timesteps(probes.model, spec), make_sampler(calibration.sampler, {})
    size = calibration.calibration_size
    return timesteps[drawn_positions(chosen, len(timesteps), size, seed)], spec
