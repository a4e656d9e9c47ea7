"""Q-Diffusion: timestep-aware calibration, split shortcuts, AdaRound block by block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from analysis.calibration.record import CalibrationSet
from analysis.calibration.statistics import statistics_of
from analysis.calibration.store import calibration_digest
from analysis.methods.calibrated import SetOptions, check_set, draw
from analysis.methods.job import Job
from analysis.methods.learning import finished_in, walk
from analysis.methods.method import METHODS, Method, Part, option
from analysis.models.handle import ModelHandle
from analysis.quant.assemble import assemble
from analysis.quant.convert import convert
from analysis.quant.estimate import estimate_qparams, observed_for
from analysis.quant.model import QuantizedModel
from analysis.quant.phase import Phase, last_layer
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams
from analysis.quant.ranges import ESTIMATORS
from analysis.quant.reconstruct import Learned
from analysis.records import ActivationStats

TITLE = "Q-Diffusion"


@dataclass(frozen=True, kw_only=True)
class QDiffusionConfig(SetOptions):
    """Defaults of Li et al.'s released code, CIFAR-10."""

    split: bool = option(True, "Own grids for the two halves of concatenated inputs")
    act_estimator: str = option(
        "lp", "How the range of each activation is chosen", tuple(ESTIMATORS)
    )
    weight_iterations: int = option(20_000, "Iterations of AdaRound a block", range=(0, 10**6))
    act_iterations: int = option(5_000, "Iterations of the scales a block", range=(0, 10**6))
    last_iterations: int | None = option(
        None,
        "Iterations of AdaRound for the last layer alone, after all else; none: none",
        range=(0, 10**6),
    )
    batch: int = option(32, "Samples an iteration", range=(1, 4096))
    weight_lr: float = option(1e-3, "Adam's rate for roundings", range=(1e-8, 10.0))
    scale_lr: float = option(4e-4, "Adam's rate for activation scales", range=(1e-8, 10.0))
    regularizer: float = option(0.01, "Weight of AdaRound's regularizer", range=(0.0, 100.0))


def q_diffusion(
    handle: ModelHandle, calibration: Any, plan: QuantPlan, config: QDiffusionConfig, job: Job
) -> QuantizedModel:
    """AdaRound with block reconstruction, then activation scales learned block by block.

    Li et al., "Q-Diffusion: Quantizing Diffusion Models", ICCV 2023, section 4. Weights first,
    with float activations; ranges of activations are then searched in the model with the learned
    weights, and their scales learned with p = 2.4, as in the released code.

    Raises:
        UserError: when the calibration is no calibration set, or one of another model.
    """
    drawn = check_set(handle, calibration, TITLE)
    kept = finished_in(handle, drawn, plan, config, job)
    bare, _ = estimate_qparams(handle, plan, {}, should_stop=job.should_stop)
    rounded = walk(handle, _weights_only(bare), drawn, weight_phase(config), job, kept)
    stats = _statistics(handle, rounded, plan, drawn, job)
    qparams, skipped = estimate_qparams(handle, plan, stats, should_stop=job.should_stop)
    scaled = walk(handle, qparams, drawn, scale_phase(config), job, kept, rounded.weights)
    return convert(
        handle,
        plan,
        scaled.qparams,
        method="q-diffusion",
        config=asdict(config),
        stats=stats,
        calibration=calibration_digest(drawn),
        skipped=skipped,
        weights=scaled.weights,
        losses=[*rounded.losses, *scaled.losses],
        notes=[*rounded.notes, *scaled.notes],
    )


def weight_phase(config: QDiffusionConfig) -> Phase:
    """AdaRound of a block's weights, activations in float."""
    return Phase(
        name="weights",
        iterations=config.weight_iterations,
        batch=config.batch,
        weight_lr=config.weight_lr,
        regularizer=config.regularizer,
    )


def scale_phase(config: QDiffusionConfig) -> Phase:
    """Activation scales of a block, its weights rounded."""
    last = config.last_iterations
    return Phase(
        name="scales",
        iterations=config.act_iterations,
        weights=False,
        scales=True,
        batch=config.batch,
        scale_lr=config.scale_lr,
        power=2.4,
        last=last_layer("scales", last) if last and config.weight_iterations else None,
    )


def _weights_only(qparams: Mapping[str, LayerQParams]) -> dict[str, LayerQParams]:
    return {name: replace(grids, act=None) for name, grids in qparams.items()}


def _statistics(
    handle: ModelHandle, rounded: Learned, plan: QuantPlan, drawn: CalibrationSet, job: Job
) -> dict[str, ActivationStats]:
    """Activations of the model with learned weights."""
    if all(layer.act is None for layer in plan.resolve(handle).values()):
        return {}
    weights: Mapping[str, Tensor] = rounded.weights
    model = assemble(observed_for(handle, plan), rounded.qparams, weights)
    found = statistics_of(model, drawn, progress=job.progress, should_stop=job.should_stop)
    return {name: layer.total for name, layer in found.items()}


METHODS.register("q-diffusion")(
    Method(
        name="q-diffusion",
        title=TITLE,
        summary="Splits shortcuts, and learns roundings and scales block by block.",
        config=QDiffusionConfig,
        run=q_diffusion,
        calibrate=draw,
        learns=True,
        presets={
            "instant": {
                "calibration_size": 64,
                "calibration_steps": 10,
                "weight_iterations": 0,
                "act_iterations": 0,
            },
            "fast": {
                "weight_iterations": 300,
                "act_iterations": 50,
                "last_iterations": 1000,
                "batch": 16,
                "weight_lr": 2e-2,
                "scale_lr": 1e-5,
            },
            "paper": {"calibration_size": 5120, "calibration_steps": 20},
        },
        parts={
            "calibration": Part("Calibrate at one timestep", {"sampler": "single"}),
            "split": Part("One grid for both halves of a shortcut", {"split": False}),
            "adaround": Part("Round weights to nearest", {"weight_iterations": 0}),
            "act-scales": Part("Keep the searched activation scales", {"act_iterations": 0}),
        },
    )
)
