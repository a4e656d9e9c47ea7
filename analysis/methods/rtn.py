"""Round to nearest: the baseline that every other method has to beat."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from analysis.calibration.record import CalibrationSet
from analysis.calibration.statistics import calibration_statistics, check_same_model
from analysis.calibration.store import calibration_digest
from analysis.errors import UserError
from analysis.methods.job import Job
from analysis.methods.method import METHODS, Method, PlanOptions
from analysis.models.handle import ModelHandle
from analysis.progress import ShouldStop
from analysis.quant.convert import convert
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.records import ActivationStats, Capture

STEPS, SAMPLES = 20, 16  # of the capture that is drawn when none is given


@dataclass(frozen=True, kw_only=True)
class RtnConfig(PlanOptions):
    """Plain rounding has no options beyond the plan's."""


def rtn(
    handle: ModelHandle,
    calibration: Capture | CalibrationSet | None,
    plan: QuantPlan,
    config: RtnConfig,
    job: Job,
) -> QuantizedModel:
    """Weights per output channel, activations per tensor, each rounded to the nearest level.

    One activation grid serves all timesteps: its range comes from the statistics of all steps
    together. Nothing is learned.

    Args:
        calibration: a capture of this model, or a calibration set, which the float model is then
            run on; `None` if the plan leaves activations float.

    Raises:
        UserError: when the calibration is something else, or of another model.
    """
    check_calibration(handle, calibration)
    stats = activation_stats(observed_for(handle, plan), calibration, job.should_stop)
    qparams, skipped = estimate_qparams(handle, plan, stats, job.progress, job.should_stop)
    return convert(
        handle,
        plan,
        qparams,
        method="rtn",
        config=asdict(config),
        stats=stats,
        calibration=capture_digest(calibration),
        skipped=skipped,
    )


def check_calibration(handle: ModelHandle, calibration: Any) -> None:
    """Raise `UserError` unless this is nothing, or a capture or calibration set of this model."""
    if calibration is None:
        return
    if not isinstance(calibration, Capture | CalibrationSet):
        raise UserError(
            "Plain rounding is calibrated on a capture (analysis.capture(model)) or a calibration "
            f"set (analysis.calibrate(model)); got a {type(calibration).__name__}."
        )
    if calibration.model_digest == handle.digest:
        return
    if isinstance(calibration, Capture):
        raise UserError(
            f"The capture was taken of another model ({calibration.model}) than {handle.name}; "
            "capture this one."
        )
    check_same_model(handle, calibration)


def activation_stats(
    handle: ModelHandle,
    calibration: Capture | CalibrationSet | None,
    should_stop: ShouldStop | None = None,
) -> dict[str, ActivationStats]:
    """Statistics of every tensor over all steps together; nothing for no calibration."""
    if calibration is None:
        return {}
    if isinstance(calibration, Capture):
        return {layer.name: calibration[layer.name].total for layer in calibration.layers}
    found = calibration_statistics(handle, calibration, should_stop=should_stop)
    return {name: stats.total for name, stats in found.items()}


def capture_digest(calibration: Capture | CalibrationSet | None) -> str:
    """SHA-256 over a capture's statistics or a set's samples; empty for none."""
    if calibration is None:
        return ""
    if isinstance(calibration, CalibrationSet):
        return calibration_digest(calibration)
    sha = hashlib.sha256(calibration.model_digest.encode())
    for layer, stats in zip(calibration.layers, calibration.stats, strict=True):
        sha.update(layer.name.encode())
        for column in (stats.min, stats.max, stats.mean, stats.std, stats.histogram.counts):
            sha.update(column.tobytes())
    return sha.hexdigest()


def default_capture(handle: ModelHandle, config: RtnConfig, job: Job) -> Capture:
    """The capture that plain rounding takes when it is given none."""
    from analysis.capture.run import capture

    return capture(
        handle,
        steps=STEPS,
        samples=SAMPLES,
        seed=job.seed,
        progress=job.progress,
        should_stop=job.should_stop,
    )


METHODS.register("rtn")(
    Method(
        name="rtn",
        title="Round to nearest",
        summary="Every weight and activation to the nearest level; nothing is learned.",
        config=RtnConfig,
        run=rtn,
        calibrate=default_capture,
        presets={
            "instant": {},
            "fast": {"act_estimator": "lp"},
            "paper": {"weight_estimator": "lp", "act_estimator": "lp"},
        },
    )
)
