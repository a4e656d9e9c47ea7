"""What methods that calibrate on a set have in common: their options, and how they draw one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.calibration.record import CalibrationSet
from analysis.calibration.run import calibrate
from analysis.calibration.samplers import SAMPLERS
from analysis.calibration.statistics import check_same_model
from analysis.errors import UserError
from analysis.methods.job import Job
from analysis.methods.method import PlanOptions, input_option, option
from analysis.models.handle import ModelHandle


def sampler_option(default: str) -> Any:
    """The field that names a calibration sampler."""
    return option(default, "Where calibration samples come from", tuple(SAMPLERS))


@dataclass(frozen=True, kw_only=True)
class SetOptions(PlanOptions):
    """Options of the calibration set that is drawn where none is given."""

    # Rounding x_t to the papers' 8 bits would hide what a method gains: docs/quantization.md.
    input_bits: int = input_option(16)
    sampler: str = sampler_option("timestep-uniform")
    shared_runs: bool = option(True, "Take many calibration samples from each denoising run")
    calibration_size: int = option(256, "Calibration samples", range=(1, 100_000))
    calibration_steps: int = option(20, "Steps of the runs they are taken from", range=(1, 1000))


def draw(handle: ModelHandle, config: SetOptions, job: Job) -> CalibrationSet:
    """The calibration set that a configuration describes."""
    shares = "shared_runs" in SAMPLERS.get(config.sampler).__dataclass_fields__
    options: dict[str, Any] = {"shared_runs": config.shared_runs} if shares else {}
    return calibrate(
        handle,
        config.sampler,
        config.calibration_size,
        job.seed,
        config.calibration_steps,
        with_report=False,
        progress=job.progress,
        should_stop=job.should_stop,
        **options,
    )


def check_set(handle: ModelHandle, calibration: Any, title: str) -> CalibrationSet:
    """The calibration, if it is a set of this model.

    Raises:
        UserError: when it is not.
    """
    if not isinstance(calibration, CalibrationSet):
        raise UserError(
            f"{title} is calibrated on a calibration set (analysis.calibrate(model)); got a "
            f"{type(calibration).__name__}."
        )
    check_same_model(handle, calibration)
    return calibration
