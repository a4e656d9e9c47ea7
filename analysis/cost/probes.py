"""The probes of one model: each is made when it is first needed, and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from analysis.capture.run import capture
from analysis.cost.counts import Passes
from analysis.cost.making import Making, plain_plan, probe_making
from analysis.cost.steps import LONG, Begin, StepCost, probe_steps
from analysis.cost.walks import WalkCost, probe_walk
from analysis.cost.watch import Watch, watch_of
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import decode, sample
from analysis.progress import ShouldStop, check_stop
from analysis.quant.assemble import assemble
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams
from analysis.records import ActivationStats, Capture, SamplingSpec


class Probes:
    """What a model's passes, ranges and iterations cost on this machine."""

    def __init__(self, model: ModelHandle, watch: Watch | None = None) -> None:
        self.model = model
        self.watch = watch or watch_of(model.device)
        self.should_stop: ShouldStop | None = None  # asked between and within long probes
        self._kept: dict[Any, Any] = {}

    def sampling(self, spec: SamplingSpec, passes: Passes, handle: Any = None) -> StepCost:
        """Of a pass of plain sampling, of the model itself or of a quantized one."""
        handle = handle or self.model

        def begin(rows: int, stop: ShouldStop) -> object:
            return sample(handle, replace(spec, samples=rows), rows, should_stop=stop)

        return self._steps(("sampling", id(handle)), spec, passes, begin)

    def capturing(
        self, spec: SamplingSpec, passes: Passes, layers: str | None = None, exact: bool = False
    ) -> StepCost:
        """Of a pass whose tensors are observed."""

        def begin(rows: int, stop: ShouldStop) -> object:
            return capture(
                self.model,
                spec.steps,
                rows,
                spec.seed,
                spec.scheduler,
                spec.prompt,
                spec.guidance_scale,
                layers,
                exact,
                batch=rows,
                should_stop=stop,
            )

        return self._steps(("capturing", layers, exact), spec, passes, begin)

    def decoding(self) -> float:
        """Seconds that one sample's picture takes, where an autoencoder draws it."""

        def measure() -> float:
            pipeline = self.model.pipeline
            if not (getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)):
                return 0.0
            x = torch.zeros(1, *self.model.sample_shape, device=self.model.device)
            started = self.watch.seconds()
            decode(self.model, x.to(self.model.dtype))
            return self.watch.seconds() - started

        return self._once("decoding", measure)

    def making(self, plan: QuantPlan, calibration: Any) -> Making:
        """Of setting ranges and rounding weights; a capture that is there serves for both."""

        def measure() -> Making:
            known = (
                {layer.name: calibration[layer.name].total for layer in calibration.layers}
                if isinstance(calibration, Capture)
                else self.statistics(plan)
            )
            return probe_making(self.model, plan, known, self.watch)

        return self._once(("making", repr(plan)), measure)

    def walk(self, plan: QuantPlan, phase: Phase, act: bool, spec: SamplingSpec) -> WalkCost:
        """Of letting every block learn, one after another; with `act` on quantized activations."""

        def measure() -> WalkCost:
            grids = self.grids(plan, act)
            told = spec, self._row(), self.watch, self.should_stop
            return probe_walk(self.model, grids, phase, *told)

        # What an iteration costs does not depend on how many there are.
        alike = replace(phase, iterations=0, last=None)
        return self._once(("walk", repr(plan), act, alike), measure)

    def simulated(self, spec: SamplingSpec, passes: Passes, plan: QuantPlan) -> StepCost:
        """Of a pass of a model quantized by this plan; it is made for the probe, and let go."""
        made: list[ModelHandle] = []

        def begin(rows: int, stop: ShouldStop) -> object:
            if not made:
                made.append(assemble(self.model, self.grids(plan, True)))
            return sample(made[0], replace(spec, samples=rows), rows, should_stop=stop)

        return self._steps(("simulated", repr(plan)), spec, passes, begin)

    def statistics(self, plan: QuantPlan) -> dict[str, ActivationStats]:
        """Activations of two steps of one sample: enough to set a range by."""
        if all(layer.act is None for layer in plan.resolve(self.model).values()):
            return {}

        def measure() -> dict[str, ActivationStats]:
            taken = capture(observed_for(self.model, plan), steps=2, samples=1)
            return {layer.name: taken[layer.name].total for layer in taken.layers}

        return self._once(("statistics", plan.split_norm), measure)

    def grids(self, plan: QuantPlan, act: bool) -> dict[str, LayerQParams]:
        """Grids from minimum and maximum."""

        def measure() -> dict[str, LayerQParams]:
            stats = self.statistics(plan) if act else {}
            return estimate_qparams(self.model, plain_plan(plan), stats)[0]

        return self._once(("grids", repr(plan), act), measure)

    def _row(self) -> float:
        """Seconds of a pass of one sample, from whichever probe there is."""
        known = [one for one in self._kept.values() if isinstance(one, StepCost)]
        return known[0].seconds[0] if known else 0.0

    def _steps(self, what: Any, spec: SamplingSpec, passes: Passes, begin: Begin) -> StepCost:
        rows, number = max(passes, default=1), sum(passes.values())
        key = (what, rows, number >= LONG, spec.prompt, spec.guidance_scale)
        return self._once(key, lambda: probe_steps(begin, self.watch, rows, number))

    def _once(self, key: Any, measure: Callable[[], Any]) -> Any:
        if key not in self._kept:
            check_stop(self.should_stop)
            self._kept[key] = measure()
        return self._kept[key]
