"""PTQ4DM: calibrate where the sampler goes, and choose ranges by their squared error."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analysis.calibration.statistics import calibration_statistics
from analysis.calibration.store import calibration_digest
from analysis.methods.calibrated import SetOptions, check_set, draw, sampler_option
from analysis.methods.job import Job
from analysis.methods.method import METHODS, Method, Part, option
from analysis.models.handle import ModelHandle
from analysis.quant.convert import convert
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.quant.ranges import ESTIMATORS

TITLE = "PTQ4DM"


@dataclass(frozen=True, kw_only=True)
class Ptq4dmConfig(SetOptions):
    """Defaults of Shang et al.'s released code: NDTC clamped, mean 0.4 T, std 0.4 T, MSE."""

    sampler: str = sampler_option("ndtc")
    act_estimator: str = option(
        "mse", "How the range of each activation is chosen", tuple(ESTIMATORS)
    )


def ptq4dm(
    handle: ModelHandle, calibration: Any, plan: QuantPlan, config: Ptq4dmConfig, job: Job
) -> QuantizedModel:
    """Ranges from x_t of the model's own runs at normally distributed steps (NDTC).

    Shang et al., "Post-training Quantization on Diffusion Models", CVPR 2023, section 3. Of the
    metrics L1, cosine, KL and MSE for the range search, MSE won (table 3); all can be chosen as
    `act_estimator`. Nothing is learned. Weight ranges are min and max: a search by squared error
    clips large weights, which here costs more than it gains.

    Raises:
        UserError: when the calibration is no calibration set, or one of another model.
    """
    stats, digest = {}, ""
    if calibration is not None:
        drawn = check_set(handle, calibration, TITLE)
        found = calibration_statistics(
            observed_for(handle, plan), drawn, progress=job.progress, should_stop=job.should_stop
        )
        stats = {name: layer.total for name, layer in found.items()}
        digest = calibration_digest(drawn)
    qparams, skipped = estimate_qparams(handle, plan, stats, job.progress, job.should_stop)
    return convert(
        handle,
        plan,
        qparams,
        method="ptq4dm",
        config=asdict(config),
        stats=stats,
        calibration=digest,
        skipped=skipped,
    )


METHODS.register("ptq4dm")(
    Method(
        name="ptq4dm",
        title=TITLE,
        summary="Calibrates on normally distributed steps of the model's own runs.",
        config=Ptq4dmConfig,
        run=ptq4dm,
        calibrate=draw,
        presets={
            "instant": {"calibration_size": 64, "calibration_steps": 10},
            "fast": {},
            "paper": {
                "calibration_size": 1024,
                "calibration_steps": 100,
                "shared_runs": False,
            },
        },
        parts={
            "calibration": Part("Calibrate at one timestep", {"sampler": "single"}),
            "range-search": Part("Take minimum and maximum", {"act_estimator": "minmax"}),
        },
    )
)
