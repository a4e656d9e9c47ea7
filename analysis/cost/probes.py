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
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import assemble
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams
from analysis.records import ActivationStats, Capture, SamplingSpec

NOTHING = StepCost((1,), (0.0,), (0,), 0)
WALK = 8  # a walk takes about as long as so many other probes
SCALE = 100  # progress within a probe is told in such parts of it


class Probes:
    """What a model's passes, ranges and iterations cost on this machine."""

    def __init__(self, model: ModelHandle, watch: Watch | None = None) -> None:
        self.model = model
        self.watch = watch or watch_of(model.device)
        self.should_stop: ShouldStop | None = None  # asked between and within long probes
        self.progress: Progress | None = None
        self.ahead = 0  # probes that are still to be made, for progress
        self._made = 0
        self._kept: dict[Any, Any] = {}

    def blank(self) -> Blank:
        """The same probes to an estimate that shall only count what it would need."""
        return Blank(self)

    def expect(self, count: int) -> None:
        """Progress begins anew: so many probes are ahead."""
        self.ahead, self._made = count, 0

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

        return self._once("decoding", measure, 0.0)

    def making(self, plan: QuantPlan, calibration: Any) -> Making:
        """Of setting ranges and rounding weights; a capture that is there serves for both."""

        def measure() -> Making:
            known = (
                {layer.name: calibration[layer.name].total for layer in calibration.layers}
                if isinstance(calibration, Capture)
                else self.statistics(plan)
            )
            return probe_making(self.model, plan, known, self.watch)

        return self._once(("making", repr(plan)), measure, Making(0.0, 0.0, 0.0, 0))

    def walk(self, plan: QuantPlan, phase: Phase, act: bool, spec: SamplingSpec) -> WalkCost:
        """Of letting every block learn, one after another; with `act` on quantized activations."""

        def measure() -> WalkCost:
            grids = self.grids(plan, act)
            told = spec, self._row(), self.watch, self.should_stop, self._within
            return probe_walk(self.model, grids, phase, *told)

        # What an iteration costs does not depend on how many there are.
        alike = replace(phase, iterations=0, last=None)
        blank = WalkCost({}, "", (0.0, 0.0), (0, 0), (1, 2))
        return self._once(("walk", repr(plan), act, alike), measure, blank, WALK)

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

        return self._once(("statistics", plan.split_norm), measure, {}, 0)

    def grids(self, plan: QuantPlan, act: bool) -> dict[str, LayerQParams]:
        """Grids from minimum and maximum."""

        def measure() -> dict[str, LayerQParams]:
            stats = self.statistics(plan) if act else {}
            return estimate_qparams(self.model, plain_plan(plan), stats)[0]

        return self._once(("grids", repr(plan), act), measure, {}, 0)

    def _row(self) -> float:
        """Seconds of a pass of one sample, from whichever probe there is."""
        known = [one for one in self._kept.values() if isinstance(one, StepCost)]
        return known[0].seconds[0] if known else 0.0

    def _steps(self, what: Any, spec: SamplingSpec, passes: Passes, begin: Begin) -> StepCost:
        rows, number = max(passes, default=1), sum(passes.values())
        key = (what, rows, number >= LONG, spec.prompt, spec.guidance_scale)
        return self._once(key, lambda: probe_steps(begin, self.watch, rows, number), NOTHING)

    def _once(self, key: Any, measure: Callable[[], Any], blank: Any, weight: int = 1) -> Any:
        """What is known under the key, or is measured now. A probe within another weighs 0."""
        if key not in self._kept:
            check_stop(self.should_stop)
            self._within(0, 1)
            self._kept[key] = measure()
            self._made += weight
            self._within(0, 1)
        return self._kept[key]

    def _within(self, done: int, total: int, text: str = "") -> None:
        """Tell how far the estimate is, `done` of `total` within a walk."""
        made = SCALE * self._made + SCALE * WALK * done // max(total, 1)
        most = SCALE * max(self.ahead, 1)
        report(self.progress, min(made, most), most, "timing a few steps")


class Blank(Probes):
    """Probes that measure nothing and count what is not known yet; all costs are 0."""

    def __init__(self, probes: Probes) -> None:
        super().__init__(probes.model, probes.watch)
        self._kept = dict(probes._kept)

    def _once(self, key: Any, measure: Callable[[], Any], blank: Any, weight: int = 1) -> Any:
        if key not in self._kept:
            self._kept[key] = blank
            self.ahead += weight
        return self._kept[key]
