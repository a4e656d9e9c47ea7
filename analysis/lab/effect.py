"""What a calibration does to a quantized model: its scales, and the error of a single step."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch

from analysis.calibration.passes import conditioning_of, distinct_timesteps, passes, run_pass
from analysis.calibration.record import CalibrationSet
from analysis.calibration.run import calibrate
from analysis.calibration.statistics import calibration_statistics
from analysis.errors import UserError
from analysis.lab.draw import HELD_OUT_SEED, Sampling
from analysis.lab.parts import in_parts
from analysis.methods.rtn import check_calibration
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import DEFAULT_BATCH
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import assemble
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams
from analysis.quant.split import TAPS
from analysis.quant.whatif import sqnr_db
from analysis.records import ActivationStats, Array, Capture

HELD_OUT_RUNS = 4
COSTS = (10.0, 1.0, 4.0)  # of statistics, grids and errors, in each other's terms


@dataclass(frozen=True)
class HeldOut:
    """Noisy samples at every step of runs that no set is drawn from, and what float predicts."""

    samples: CalibrationSet  # N = runs * T
    noise: Array  # [N, C, H, W] float32, after guidance


@dataclass(frozen=True)
class Effect:
    """Plain rounding calibrated one way: its activation scales, and its one-step error.

    A split input has two scales, `layer#h` and `layer#skip`. The error is that of the predicted
    noise alone: both models are given the same x_t, so nothing adds up over steps.
    """

    layers: tuple[str, ...]  # [L] tensors with an activation grid, in execution order
    scales: Array  # [L] distance of two levels, in activation units
    timesteps: Array  # [T], noise first
    sqnr_db_per_step: Array  # [T] of the predicted noise
    sqnr_db: float  # over all steps together


def hold_out(
    model: ModelHandle,
    steps: int,
    how: Sampling | None = None,
    runs: int = HELD_OUT_RUNS,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> HeldOut:
    """Take x_t at every step of a few held-out runs, and the noise that the model sees in it.

    Raises:
        UserError: for steps or runs that make no sense.
        Cancelled: when `should_stop` says so.
    """
    drawing, predicting = in_parts(progress, (1, 1))
    samples = calibrate(
        model,
        "timestep-uniform",
        runs * steps,
        HELD_OUT_SEED,
        steps,
        with_report=False,
        progress=drawing,
        should_stop=should_stop,
        shared_runs=True,
        **asdict(how or Sampling()),
    )
    return HeldOut(samples, predicted_noise(model, samples, predicting, should_stop))


def effect_of(
    model: ModelHandle,
    calibration: Capture | CalibrationSet,
    plan: QuantPlan,
    held: HeldOut,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Effect:
    """Round a model to nearest with the ranges of a calibration, and measure.

    The model is the one that the method `rtn` makes of the same calibration and plan. SQNR of a
    step is sum eps^2 / sum (eps - eps_q)^2 over its held-out samples, in dB.

    Raises:
        UserError: when the calibration is of another model, or the plan leaves all activations
            float.
        Cancelled: when `should_stop` says so.
    """
    check_calibration(model, calibration)
    check_rounds_activations(model, plan)
    observing, grids, measuring = in_parts(progress, COSTS)
    stats = _totals(model, calibration, plan, observing, should_stop)
    qparams, _ = estimate_qparams(model, plan, stats, grids, should_stop)
    layers, scales = _scales(qparams)
    if not layers:
        raise UserError("The calibration holds no layer that the plan quantizes; take another one.")
    rounded = assemble(model, qparams)
    noise = predicted_noise(rounded, held.samples, measuring, should_stop)
    timesteps = distinct_timesteps(held.samples)
    signal, error = _powers(held, noise, timesteps)
    return Effect(
        layers=layers,
        scales=scales,
        timesteps=timesteps,
        sqnr_db_per_step=sqnr_db(signal, error),
        sqnr_db=float(sqnr_db(signal.sum(), error.sum())),
    )


def doublings(effect: Effect, reference: Effect) -> Array:
    """log2 of each scale by the reference's [L]: -1 is half as wide; NaN where it has none."""
    known = dict(zip(reference.layers, reference.scales.tolist(), strict=True))
    other = np.array([known.get(name, np.nan) for name in effect.layers])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(effect.scales / other)


def check_rounds_activations(model: ModelHandle, plan: QuantPlan) -> None:
    """Raise `UserError` when a plan gives no activation a grid."""
    if all(layer.act is None for layer in plan.resolve(model).values()):
        raise UserError(
            f"{plan.text} leaves activations float, so calibration changes nothing; choose 2 to 8 "
            "bits for activations."
        )


def predicted_noise(
    model: ModelHandle,
    samples: CalibrationSet,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Array:
    """The noise [N, C, H, W] float32 that a model sees in samples, after guidance."""
    told = conditioning_of(samples, model)
    found: Array = np.empty(samples.x_t.shape, dtype=np.float32)
    for one in passes(samples, DEFAULT_BATCH):
        out = run_pass(model, samples, told, one)[:, : found.shape[1]]  # without variances
        if told.guided:
            unconditional, conditional = out.chunk(2)  # [n, C, H, W] each
            assert told.guidance_scale is not None
            out = unconditional + told.guidance_scale * (conditional - unconditional)
        found[one.rows] = out.to(torch.float32).cpu().numpy()
        check_stop(should_stop)
        done = one.before + len(one.rows)
        report(progress, done, samples.size, "noise in held-out samples")
    return found


def _totals(
    model: ModelHandle,
    calibration: Capture | CalibrationSet,
    plan: QuantPlan,
    progress: Progress,
    should_stop: ShouldStop | None,
) -> dict[str, ActivationStats]:
    """Statistics of every tensor over all timesteps together."""
    if isinstance(calibration, Capture):
        return {layer.name: calibration[layer.name].total for layer in calibration.layers}
    observed = observed_for(model, plan)
    found = calibration_statistics(
        observed, calibration, progress=progress, should_stop=should_stop
    )
    return {name: stats.total for name, stats in found.items()}


def _scales(qparams: dict[str, LayerQParams]) -> tuple[tuple[str, ...], Array]:
    """Names and activation scales of every tensor that has one."""
    names: list[str] = []
    scales: list[float] = []
    for name, grids in qparams.items():
        if grids.act is not None:
            found = np.atleast_1d(grids.act.scale)
            names += [name] if len(found) == 1 else [f"{name}#{tap}" for tap in TAPS]
            scales += found.tolist()
    return tuple(names), np.array(scales)


def _powers(held: HeldOut, noise: Array, timesteps: Array) -> tuple[Array, Array]:
    """Power of the noise and of its error, summed over the samples of each timestep [T]."""
    axes = tuple(range(1, noise.ndim))
    signal = np.square(held.noise, dtype=np.float64).sum(axis=axes)  # [N]
    error = np.square(held.noise.astype(np.float64) - noise).sum(axis=axes)  # [N]
    at = held.samples.t[None, :] == timesteps[:, None]  # [T, N]
    return at @ signal, at @ error
