"""Activation statistics of a calibration set: what a capture knows, of chosen samples."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.calibration.passes import (
    conditioning_of,
    distinct_timesteps,
    passes,
    run_pass,
)
from analysis.calibration.record import CalibrationSet
from analysis.capture.recorder import Recorder, finished
from analysis.capture.run import DEFAULT_BINS, DRAWN, observed_layers
from analysis.capture.trace import observed
from analysis.errors import UserError
from analysis.models.handle import ModelHandle
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import DEFAULT_BATCH
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.records import LayerRef, LayerStats


def calibration_statistics(
    model: ModelHandle,
    calibration: CalibrationSet,
    layers: str | None = None,
    exact: bool = False,
    bins: int = DEFAULT_BINS,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, LayerStats]:
    """Statistics of every tensor over the set's distinct timesteps [T'], noise first.

    The float model runs once on the set, observed as a capture observes it. Histograms hold
    about 4,096 drawn values a timestep, the same number of every sample, or with `exact` all.
    A layer that does not run is left out.

    Raises:
        UserError: when the set belongs to another model, or an activation is not finite.
        Cancelled: when `should_stop` says so.
    """
    check_same_model(model, calibration)
    return statistics_of(model, calibration, layers, exact, bins, batch, progress, should_stop)


def statistics_of(
    model: ModelHandle,
    calibration: CalibrationSet,
    layers: str | None = None,
    exact: bool = False,
    bins: int = DEFAULT_BINS,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, LayerStats]:
    """`calibration_statistics` of any model that takes the set's samples, a quantized one say."""
    steps, chosen = distinct_timesteps(calibration), observed_layers(model, layers)
    drawn = None if exact else DRAWN * len(steps)

    def run(at_once: int) -> Recorder:
        recorder = Recorder(steps, calibration.size, calibration.seed, bins, drawn)
        _run_into(recorder, model, calibration, chosen, at_once, progress, should_stop)
        return recorder

    kept, stats, _ = finished(with_smaller_batches(run, batch), chosen)
    return {layer.name: found for layer, found in zip(kept, stats, strict=True)}


def _run_into(
    recorder: Recorder,
    model: ModelHandle,
    calibration: CalibrationSet,
    layers: Sequence[LayerRef],
    batch: int,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> None:
    """The whole set under observation."""
    told = conditioning_of(calibration, model)
    with observed(model.denoiser, layers, model.shortcuts, recorder.observe, recorder.begin_pass):
        for one in passes(calibration, batch):
            recorder.begin_batch(one.before, len(one.rows))
            run_pass(model, calibration, told, one)
            recorder.flush()
            check_stop(should_stop)
            done, t = one.before + len(one.rows), recorder.timesteps[one.step]
            report(progress, done, calibration.size, f"statistics, timestep {t:g}")


def check_same_model(model: ModelHandle, calibration: CalibrationSet) -> None:
    """Raise `UserError` unless the set was drawn for this model."""
    if calibration.model_digest != model.digest:
        raise UserError(
            f"The calibration set was drawn for another model ({calibration.model}) than "
            f"{model.name}; calibrate this one."
        )
