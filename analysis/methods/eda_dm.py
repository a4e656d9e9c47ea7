"""EDA-DM: calibration by density and diversity, fine-grained block reconstruction with QDrop."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from analysis.calibration.statistics import calibration_statistics
from analysis.calibration.store import calibration_digest
from analysis.methods.calibrated import SetOptions, check_set, draw, sampler_option
from analysis.methods.job import Job
from analysis.methods.learning import finished_in, walk
from analysis.methods.method import METHODS, Method, Part, option
from analysis.models.handle import ModelHandle
from analysis.quant.convert import convert
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.model import QuantizedModel
from analysis.quant.phase import Phase, last_layer
from analysis.quant.plan import QuantPlan
from analysis.quant.ranges import ESTIMATORS

TITLE = "EDA-DM"


@dataclass(frozen=True, kw_only=True)
class EdaDmConfig(SetOptions):
    """Defaults of Liu et al.'s released code, CIFAR-10."""

    sampler: str = sampler_option("tdac")
    act_estimator: str = option(
        "lp2d", "How the range of each activation is chosen", tuple(ESTIMATORS)
    )
    iterations: int = option(5_000, "Iterations a block", range=(0, 10**6))
    last_iterations: int | None = option(
        None,
        "Iterations of AdaRound for the last layer alone, where weights have up to 4 bits; above, "
        "it is rounded to nearest. None: it learns as a block does",
        range=(0, 10**6),
    )
    adaround: bool = option(True, "Learn whether each weight is rounded up or down")
    act_scales: bool = option(True, "Learn activation scales with the weights")
    batch: int = option(32, "Samples an iteration", range=(1, 4096))
    weight_lr: float = option(0.5, "Adam's rate for roundings up to 4 bits", range=(1e-8, 10.0))
    fine_weight_lr: float = option(
        5e-2, "Adam's rate for roundings of more than 4 bits", range=(1e-8, 10.0)
    )
    scale_lr: float = option(5e-4, "Adam's rate for activation scales", range=(1e-8, 10.0))
    alpha: float = option(0.8, "Weight of the losses of a block's inner layers", range=(0.0, 100.0))
    drop: float = option(
        0.5, "QDrop: share of inputs and activations left in float", range=(0.0, 1.0)
    )


def eda_dm(
    handle: ModelHandle, calibration: Any, plan: QuantPlan, config: EdaDmConfig, job: Job
) -> QuantizedModel:
    """Roundings and activation scales learned together against a block's and its layers' outputs.

    Liu et al., "EDA-DM: Enhanced Distribution Alignment for Post-Training Quantization of
    Diffusion Models", 2024 (arXiv 2401.04585), section 3. As in the released code there is no
    regularizer on the roundings, and QDrop (Wei et al. 2022) mixes float values in.

    Raises:
        UserError: when the calibration is no calibration set, or one of another model.
    """
    drawn = check_set(handle, calibration, TITLE)
    found = calibration_statistics(
        observed_for(handle, plan), drawn, progress=job.progress, should_stop=job.should_stop
    )
    stats = {name: layer.total for name, layer in found.items()}
    qparams, skipped = estimate_qparams(handle, plan, stats, should_stop=job.should_stop)
    kept = finished_in(handle, drawn, plan, config, job)
    learned = walk(handle, qparams, drawn, joint_phase(config, plan), job, kept)
    return convert(
        handle,
        plan,
        learned.qparams,
        method="eda-dm",
        config=asdict(config),
        stats=stats,
        calibration=calibration_digest(drawn),
        skipped=skipped,
        weights=learned.weights,
        losses=learned.losses,
        notes=learned.notes,
    )


def joint_phase(config: EdaDmConfig, plan: QuantPlan) -> Phase:
    """Fine-grained block reconstruction with QDrop."""
    few = plan.base.weight.bits <= 4
    last = config.last_iterations
    if last is not None and not few:
        last = 0  # it would add more shift than has gathered before it (docs/quantization.md)
    return Phase(
        name="blocks",
        iterations=config.iterations,
        weights=config.adaround,
        scales=config.act_scales,
        batch=config.batch,
        weight_lr=config.weight_lr if few else config.fine_weight_lr,
        scale_lr=config.scale_lr,
        regularizer=0.0,
        alpha=config.alpha,
        input_drop=config.drop,
        act_drop=config.drop,
        last=None if last is None or not config.adaround else last_layer("blocks", last),
    )


METHODS.register("eda-dm")(
    Method(
        name="eda-dm",
        title=TITLE,
        summary="Aligns calibration with the sampler, and learns against every layer's output.",
        config=EdaDmConfig,
        run=eda_dm,
        calibrate=draw,
        learns=True,
        presets={
            "instant": {"calibration_size": 64, "calibration_steps": 10, "iterations": 0},
            "fast": {
                "iterations": 300,
                "last_iterations": 1000,
                "batch": 8,
                "weight_lr": 0.2,
                "fine_weight_lr": 0.2,
                "scale_lr": 1e-5,
                "drop": 0.2,
            },
            "paper": {"calibration_size": 1024, "calibration_steps": 100, "shared_runs": False},
        },
        parts={
            "tdac": Part(
                "The same number of samples at every step", {"sampler": "timestep-uniform"}
            ),
            "calibration": Part("Calibrate at one timestep", {"sampler": "single"}),
            "fbr": Part("Only the block's own output counts", {"alpha": 0.0}),
            "qdrop": Part("Quantize every element while learning", {"drop": 0.0}),
            "adaround": Part("Round weights to nearest", {"adaround": False}),
            "act-scales": Part("Keep the searched activation scales", {"act_scales": False}),
        },
    )
)
