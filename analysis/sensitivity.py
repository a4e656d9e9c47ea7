"""Which layers cannot do with few bits: the error of each in the predicted noise.

The module can be called: `analysis.sensitivity(model)` is the function of that name in here.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from analysis.budget import CANCELLED, WHOLE, Clock, check_budget
from analysis.callable_module import make_callable
from analysis.errors import Cancelled, UserError, check_whole
from analysis.expected_error import expected_db
from analysis.metrics.image import psnr
from analysis.metrics.sqnr import sqnr_db
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample, sampling_spec
from analysis.one_layer import HeldOut, OneLayer, hold_out
from analysis.progress import Progress, ShouldStop, report
from analysis.quant.model import LayerRow, QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize
from analysis.quant.scheme import FLOAT_BITS
from analysis.records import Array, Capture, LayerRef, SamplingSpec


@dataclass(frozen=True)
class LayerSensitivity:
    """What quantizing one tensor alone does. `sqnr_db` is `None` where it was not reached."""

    name: str
    kind: str
    weight_bits: int | None  # `None` without a weight, 32 where it stays float
    act_bits: int
    predicted_db: float | None  # a first-order estimate of `sqnr_db`; the order of measuring
    sqnr_db: float | None = None  # of the predicted noise, over all held-out inputs
    by_step_db: tuple[float, ...] = ()  # the same at each timestep [T]
    psnr_db: float | None = None  # of pictures, where the layer was a finalist


@dataclass(frozen=True)
class Sensitivity:
    """Every quantized tensor of a model, in execution order, with what was measured of it."""

    model: str
    model_digest: str
    plan: QuantPlan
    rows: tuple[LayerSensitivity, ...]
    timesteps: Array  # [T] of the held-out inputs
    samples: int  # at each of them
    seconds: float
    ended: str  # "whole", "budget" or "cancelled"

    @property
    def ranking(self) -> tuple[LayerSensitivity, ...]:
        """What was measured, most sensitive first."""
        measured = [row for row in self.rows if row.sqnr_db is not None]
        return tuple(sorted(measured, key=lambda row: (row.sqnr_db, row.name)))

    @property
    def not_reached(self) -> tuple[str, ...]:
        """Layers that the time did not suffice for."""
        return tuple(row.name for row in self.rows if row.sqnr_db is None)


OnLayer = Callable[[Sensitivity], None]  # told all that is known whenever a layer is measured


def sensitivity(
    model: ModelHandle,
    plan: str | QuantPlan = "W4A8",
    calibration: Capture | None = None,
    samples: int = 4,
    moments: int = 4,
    steps: int = 20,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    budget: float | None = None,
    finalists: int = 0,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    on_layer: OnLayer | None = None,
) -> Sensitivity:
    """Quantize one layer at a time, all others float, and measure the error of predicted noise.

    One layer alone is how mixed-precision work measures sensitivity (ZeroQ, Cai et al. 2020;
    for diffusion MixDQ, Zhao et al. 2024): errors are then a layer's own. What layers do to
    each other does not show; the finalists' pictures, again with one layer quantized each, add
    what a whole run makes of the error.

    Rounding is plain (`rtn`). Inputs are x_t of float runs that no calibration sees, at
    `moments` timesteps from first to last of `steps`. Layers are measured in the order of a
    first-order prediction (`analysis.expected_error`), worst first: the time that is there goes
    to those that matter.

    Args:
        calibration: a capture or set of this model; `None` takes `rtn`'s own capture.
        samples: noisy samples at each timestep, and pictures of a finalist.
        budget: seconds for everything; what does not fit says that it was not reached. The
            calibration and the first layer are never left out.
        finalists: the most sensitive layers, for which whole runs are sampled.
        on_layer: told what is known whenever a layer has been measured.

    Returns:
        What was measured, also when `should_stop` ends it: `ended` says so.

    Raises:
        UserError: for plans, calibrations, steps, samples or a budget that make no sense.
        Cancelled: when `should_stop` says so before the first layer.
    """
    _check(moments, finalists, budget)
    spec = sampling_spec(model, steps, samples, seed, scheduler, prompt, guidance_scale)
    clock = Clock(budget, should_stop)
    quantized = quantize(
        model, "rtn", plan, calibration, progress=progress, should_stop=should_stop, seed=seed
    )
    order = _order(model, quantized)
    before = clock.seconds
    held = hold_out(model, spec, moments, progress, should_stop)
    run_seconds = clock.seconds - before
    expected = _predicted(model, held, order)
    state = Sensitivity(
        model.name,
        model.digest,
        quantized.plan,
        tuple(_blank(layer, row, expected) for layer, row in order),
        held.timesteps,
        samples,
        clock.seconds,
        WHOLE,
    )
    run = _Run(state, OneLayer(model, quantized), held, clock, progress, on_layer)
    run.measure(reserved=(finalists + 1) * run_seconds if finalists else 0.0)
    if finalists and run.state.ended != CANCELLED:
        run.finals(model, spec, finalists, run_seconds)
    return run.state


def most_sensitive(found: Sensitivity, count: int, bits: int = 8) -> dict[str, str]:
    """Overrides (glob -> plan text) that keep the `count` most sensitive layers at `bits` bits.

    Layers that have as many bits already are passed over; nothing gets fewer than it has.

    Raises:
        UserError: for a count below 1, or where nothing was measured.
    """
    return {glob.escape(name): text for name, text in raised(found, count, bits).items()}


def raised(found: Sensitivity, count: int, bits: int = 8) -> dict[str, str]:
    """As `most_sensitive`, by the layers' names."""
    check_whole("The number of layers", count)
    if not found.ranking:
        raise UserError("No layer was measured; allow more seconds.")
    coarse = [row for row in found.ranking if _coarser(row, bits)]
    return {row.name: _raised(row, bits) for row in coarse[:count]}


def _coarser(row: LayerSensitivity, bits: int) -> bool:
    return row.act_bits < bits or (row.weight_bits or FLOAT_BITS) < bits


def _raised(row: LayerSensitivity, bits: int) -> str:
    """The row's plan with at least so many bits; 16, which no plan text can say, become float."""
    known = ((row.weight_bits or bits), row.act_bits)
    weight, act = (max(own, bits) if own <= 8 else FLOAT_BITS for own in known)
    return f"W{weight}A{act}"


def _check(moments: int, finalists: int, budget: float | None) -> None:
    check_whole("moments", moments)
    check_whole("finalists", finalists, 0)
    check_budget(budget)


def _order(model: ModelHandle, quantized: QuantizedModel) -> list[tuple[LayerRef, LayerRow]]:
    """What is quantized, in execution order."""
    rows = {row.name: row for row in quantized.layers}
    grids = quantized.qparams
    chosen = [x for x in model.layers if x.name in grids and not grids[x.name].is_float]
    if not chosen:
        raise UserError(f"{quantized.plan.text} leaves every layer float; choose fewer bits.")
    return [(layer, rows[layer.name]) for layer in chosen]


def _predicted(
    model: ModelHandle, held: HeldOut, order: list[tuple[LayerRef, LayerRow]]
) -> dict[str, float]:
    """The first-order estimate; nothing where there is no memory for derivatives."""
    try:
        return expected_db(model, held, order)
    except (MemoryError, torch.OutOfMemoryError):
        return {}


def _blank(layer: LayerRef, row: LayerRow, expected: Mapping[str, float]) -> LayerSensitivity:
    predicted = expected.get(layer.name)
    return LayerSensitivity(layer.name, layer.kind, row.weight_bits, row.act_bits, predicted)


def _first(row: LayerSensitivity) -> float:
    return math.inf if row.predicted_db is None else row.predicted_db


@dataclass
class _Run:
    """A measurement on its way; `state` is what is known so far."""

    state: Sensitivity
    one: OneLayer
    held: HeldOut
    clock: Clock
    progress: Progress | None
    on_layer: OnLayer | None

    def measure(self, reserved: float) -> None:
        """One-step errors, worst prediction first, until the time is up but for `reserved`."""
        queue = sorted(self.state.rows, key=_first)
        longest = 0.0
        for done, row in enumerate(queue):
            report(self.progress, done, len(queue), row.name)
            ended = self.clock.verdict(longest + min(reserved, (self.clock.budget or 0) / 3))
            if ended is not None and (done or ended == CANCELLED):
                if not done:
                    raise Cancelled("Cancelled.")
                self._end(ended)
                return
            before = self.clock.seconds
            with self.one.only(row.name) as handle:
                found = self.held.predicted(handle)
            longest = max(longest, self.clock.seconds - before)
            self._put(row, **self._errors(found))
        report(self.progress, len(queue), len(queue), "all layers are measured")

    def finals(self, model: ModelHandle, spec: SamplingSpec, count: int, each: float) -> None:
        """Pictures of the most sensitive layers, each quantized alone, against float ones."""
        chosen = self.state.ranking[:count]
        ended = self.clock.verdict(2 * each)
        if ended is not None:
            self._end(ended)
            return
        reference = sample(model, spec)
        for done, row in enumerate(chosen):
            report(self.progress, done, len(chosen), f"whole run, {row.name}")
            ended = self.clock.verdict(each)
            if ended is not None:
                self._end(ended)
                return
            with self.one.only(row.name) as handle:
                self._put(row, psnr_db=psnr(reference, sample(handle, spec)))
        report(self.progress, len(chosen), len(chosen), "all finalists are sampled")

    def _errors(self, found: torch.Tensor) -> dict[str, Any]:
        noise = self.held.noise  # [T, n, C, H, W]
        each = (sqnr_db(x, x_q) for x, x_q in zip(noise, found, strict=True))
        return {"sqnr_db": sqnr_db(noise, found), "by_step_db": tuple(each)}

    def _put(self, row: LayerSensitivity, **values: Any) -> None:
        rows = tuple(
            replace(known, **values) if known.name == row.name else known
            for known in self.state.rows
        )
        self.state = replace(self.state, rows=rows, seconds=self.clock.seconds)
        if self.on_layer is not None:
            self.on_layer(self.state)

    def _end(self, ended: str) -> None:
        self.state = replace(self.state, ended=ended, seconds=self.clock.seconds)


make_callable(__name__)
