"""A model in which one layer at a time is quantized, and the inputs that show what it costs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from torch import nn

from analysis.models.conditioning import Conditioning, condition
from analysis.models.handle import ModelHandle
from analysis.models.schedulers import make_scheduler
from analysis.models.trajectory import predict, trajectory
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.attention import QuantAttnProcessor
from analysis.quant.model import QuantizedModel
from analysis.records import Array, SamplingSpec

# Held-out samples are the run's ten thousandth and on: no calibration set has that many.
HELD_OUT = 10_000


class OneLayer:
    """A copy of the float denoiser that takes over one quantized layer at a time.

    The copy is made once, and nothing of the given models is changed.
    """

    def __init__(self, model: ModelHandle, quantized: QuantizedModel) -> None:
        self._quantized = quantized
        self._denoiser = copy.deepcopy(model.denoiser)
        self.handle = model.with_denoiser(self._denoiser)

    @contextmanager
    def only(self, name: str) -> Iterator[ModelHandle]:
        """The float model with this one tensor quantized, for as long as the `with` lasts."""
        module, _, tap = name.partition("#")
        swap = self._operand(module, tap) if tap else self._layer(module)
        with swap:
            yield self.handle

    @contextmanager
    def _layer(self, name: str) -> Iterator[None]:
        own = self._denoiser.get_submodule(name)
        twin = self._quantized.handle.denoiser.get_submodule(name)
        # Diffusers files some modules under two names.
        places = [
            (parent, key)
            for parent in self._denoiser.modules()
            for key, child in parent._modules.items()
            if child is own
        ]
        try:
            _put(places, twin)
            yield
        finally:
            _put(places, own)

    @contextmanager
    def _operand(self, name: str, tap: str) -> Iterator[None]:
        attention = self._denoiser.get_submodule(name)
        assert isinstance(attention, Attention)
        grid = self._quantized.qparams[f"{name}#{tap}"].act
        own = attention.processor
        processor = QuantAttnProcessor({tap: grid}, attention.to_q.weight.device)
        try:
            attention.set_processor(processor.train(attention.training))
            yield
        finally:
            attention.set_processor(own)


def _put(places: list[tuple[nn.Module, str]], module: nn.Module) -> None:
    for parent, key in places:
        parent._modules[key] = module


@dataclass(frozen=True)
class HeldOut:
    """Noisy samples of float runs at a few moments, and the noise the float model sees there."""

    x_t: tuple[torch.Tensor, ...]  # [n, C, H, W] each, noise first
    noise: torch.Tensor  # [T, n, C, H, W]
    moments: tuple[tuple[Any, torch.Tensor], ...]  # a scheduler of its own, and its timestep
    told: Conditioning

    @property
    def timesteps(self) -> Array:
        """Timesteps [T], noise first."""
        return np.array([float(t) for _, t in self.moments])

    def predicted(self, model: ModelHandle) -> torch.Tensor:
        """What a model predicts for the same inputs, [T, n, C, H, W]."""
        kwargs = self.told.for_batch(len(self.x_t[0]))
        return torch.stack(
            [
                predict(model, scheduler, x, t, self.told, kwargs)
                for x, (scheduler, t) in zip(self.x_t, self.moments, strict=True)
            ]
        )


def hold_out(
    model: ModelHandle,
    spec: SamplingSpec,
    moments: int,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> HeldOut:
    """Take `moments` evenly spread steps of a float run, first and last included.

    Raises:
        Cancelled: when `should_stop` says so.
    """
    told = condition(model, spec.prompt, spec.guidance_scale)
    steps = []
    for step in trajectory(model, spec, HELD_OUT, spec.samples, told):
        check_stop(should_stop)
        report(progress, step.index + 1, spec.steps, f"held-out run, timestep {step.timestep:g}")
        steps.append(step)
    wanted = np.unique(np.linspace(0, len(steps) - 1, moments).round().astype(int))
    return HeldOut(
        tuple(steps[i].x_t for i in wanted),
        torch.stack([steps[i].noise_pred for i in wanted]),
        tuple(_moment(model, spec, steps[i].index) for i in wanted),
        told,
    )


def _moment(model: ModelHandle, spec: SamplingSpec, index: int) -> tuple[Any, torch.Tensor]:
    """Some schedulers remember the step they have scaled an input for: each moment has its own."""
    own = model.pipeline.scheduler
    scheduler = make_scheduler(own, spec.scheduler, spec.steps, model.device)
    return scheduler, scheduler.timesteps[index]
