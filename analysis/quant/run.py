"""One call from a model to its quantized twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from analysis.errors import UserError
from analysis.methods import METHODS
from analysis.methods.job import Job
from analysis.methods.method import Method, make_config
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop
from analysis.quant.estimate import observed_for
from analysis.quant.model import QuantizedModel
from analysis.quant.phase import OnLoss
from analysis.quant.plan import QuantPlan
from analysis.unseen import calibrated_timesteps


def quantize(
    model: ModelHandle | str | Path,
    method: str = "rtn",
    plan: str | QuantPlan = "W8A8",
    calibration: Any = None,
    preset: str = "instant",
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    seed: int = 0,
    without: Sequence[str] = (),
    keep: str | Path | None = None,
    on_loss: OnLoss | None = None,
    **options: Any,
) -> QuantizedModel:
    """Quantize a model.

    Args:
        model: a handle, or what `load_model` takes.
        method: a name in `analysis.methods.METHODS`.
        plan: text such as `W4A8`, or a `QuantPlan`.
        calibration: what the method calibrates on; `None` lets the method draw its own, with
            `seed`, where the plan quantizes activations at all.
        preset: `instant`, `fast` or `paper`; `options` set single fields on top of it.
        without: parts of the method to leave out, for ablations (`METHODS.get(name).parts`).
        keep: folder for what is finished, so that a run that was stopped goes on where it was
            when it is started again with the same arguments.
        on_loss: told the loss while blocks learn.
        options: fields of the method's configuration, and `overrides`, a glob -> plan text
            mapping.

    Raises:
        UserError: for an unknown method, preset, part or option, and for a plan or a calibration
            that does not fit.
        Cancelled: when `should_stop` says so.
    """
    chosen = METHODS.get(method)
    handle = _handle(model)
    overrides = options.pop("overrides", None)
    config = make_config(chosen, preset, options, without)
    full_plan = _plan(chosen, plan, config, overrides, options)
    job = Job(
        seed=seed,
        progress=progress,
        should_stop=should_stop,
        on_loss=on_loss,
        keep=None if keep is None else Path(keep),
    )
    # Resolving the plan here notices a glob that matches nothing before any long work.
    needed = needs_calibration(full_plan, handle, chosen.learns)
    if calibration is None and needed:
        calibration = chosen.calibrate(observed_for(handle, full_plan), config, job)
    try:
        done = chosen.run(handle, calibration, full_plan, config, job)
    except torch.OutOfMemoryError:
        raise UserError(
            f"The GPU has too little memory for {method} with these settings; take a smaller "
            "calibration_size or batch, or the device cpu. Finished blocks are kept where a "
            "folder was given, and the same settings go on from them."
        ) from None
    return replace(done, timesteps=calibrated_timesteps(calibration))


def needs_calibration(plan: QuantPlan, handle: ModelHandle, learns: bool = False) -> bool:
    """Whether any activation is quantized, or for a method that learns any weight."""
    layers = plan.resolve(handle).values()
    return any(layer.act is not None or (learns and layer.weight is not None) for layer in layers)


def _handle(model: ModelHandle | str | Path) -> ModelHandle:
    if not isinstance(model, str | Path):
        return model
    from analysis.models.load import load_model

    return load_model(model)


def _plan(
    method: Method, plan: str | QuantPlan, config: Any, overrides: Any, options: dict[str, Any]
) -> QuantPlan:
    """The full plan: text is completed by the configuration, a `QuantPlan` is complete."""
    if not isinstance(plan, QuantPlan):
        return QuantPlan.parse(plan, **config.plan_options(), overrides=overrides)
    settled = sorted(set(options) & set(config.plan_options()))
    if overrides is not None:
        settled.append("overrides")
    if settled:
        raise UserError(
            f"{', '.join(settled)} belong to the plan: set them in the QuantPlan, or give the "
            "plan as text."
        )
    return plan
