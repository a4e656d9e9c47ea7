"""Diffusers' schedulers by short name, or any of them by its class name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import diffusers
import torch
from diffusers import SchedulerMixin

from analysis.errors import UserError

SHORT_NAMES = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm-single": "DPMSolverSinglestepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
    "kdpm2": "KDPM2DiscreteScheduler",
}


def make_scheduler(own: Any, name: str | None, steps: int, device: torch.device) -> Any:
    """A fresh scheduler with its timesteps set; `None` takes the model's own kind.

    Raises:
        UserError: for an unknown name, a scheduler of another kind of model, or steps outside
            1 .. training timesteps.
    """
    kind = type(own) if name is None else _scheduler_class(name)
    scheduler = _configured(kind, own)
    most = int(scheduler.config.num_train_timesteps)
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= most:
        raise UserError(
            f"steps must be a whole number from 1 to {most}, the timesteps this model was "
            f"trained on; got {steps}."
        )
    try:
        scheduler.set_timesteps(steps, device=device)
    except (ValueError, IndexError, ImportError, ArithmeticError) as error:
        raise UserError(
            f"{kind.__name__} cannot run {steps} steps of this model ({_reason(error)}); "
            "try another number of steps or another scheduler."
        ) from error
    return scheduler


def scheduler_name(scheduler: Any) -> str:
    """The short name of a scheduler, or its class name where there is none."""
    own = type(scheduler).__name__
    return next((short for short, name in SHORT_NAMES.items() if name == own), own)


def step_arguments(scheduler: Any, generators: list[torch.Generator]) -> dict[str, Any]:
    """What `scheduler.step` takes besides the tensors: the generators, where it draws noise."""
    accepted = inspect.signature(scheduler.step).parameters
    return {"generator": generators} if "generator" in accepted else {}


def _configured(kind: Any, own: Any) -> Any:
    """A scheduler of this kind with the model's noise schedule."""
    try:
        scheduler = kind.from_config(own.config) if _fits(kind) else None
    except (ValueError, NotImplementedError) as error:
        raise UserError(
            f"{kind.__name__} does not know this model's noise schedule ({_reason(error)}); "
            "choose another scheduler."
        ) from error
    if not hasattr(scheduler, "init_noise_sigma"):
        raise UserError(
            f"{kind.__name__} belongs to another kind of model than this one; choose another "
            f"scheduler, such as {', '.join(SHORT_NAMES)}."
        )
    return scheduler


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _fits(kind: Any) -> bool:
    """Whether such a scheduler denoises with what a UNet predicts, and nothing more."""
    needed = [name for name, p in _parameters(kind, "step") if p.default is p.empty]
    return (
        needed[:4] == ["self", "model_output", "timestep", "sample"]
        and all(name in ("args", "kwargs") for name in needed[4:])
        and hasattr(kind, "scale_model_input")
        and "num_train_timesteps" in dict(_parameters(kind, "__init__"))
    )


def _parameters(kind: Any, method: str) -> Iterable[tuple[str, inspect.Parameter]]:
    function = getattr(kind, method, None)
    return () if function is None else inspect.signature(function).parameters.items()


def _scheduler_class(name: str) -> Any:
    found = getattr(diffusers, SHORT_NAMES.get(name.lower(), name), None)
    if not (inspect.isclass(found) and issubclass(found, SchedulerMixin)):
        raise UserError(
            f"There is no scheduler named {name!r}; choose one of: {', '.join(SHORT_NAMES)}, "
            "or the name of a diffusers class such as DDIMScheduler."
        )
    return found
