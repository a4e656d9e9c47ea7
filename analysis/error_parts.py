"""Parting the error of a sampling run: what a step adds, and what earlier steps left behind."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from analysis.models.conditioning import Conditioning, condition
from analysis.models.handle import ModelHandle
from analysis.models.schedulers import make_scheduler, step_arguments
from analysis.models.trajectory import initial_noise, predict, sample_generators
from analysis.records import SamplingSpec


@dataclass(frozen=True)
class ErrorParts:
    """One step of a quantized run; every tensor is [N, C, H, W], after the step.

    The whole difference is x_q - x = fresh + inherited. `fresh` is what the quantized model gets
    wrong in this one step when it is given the float run's x_t (and the float run's past, where a
    scheduler remembers one, and the same noise, where it draws any). `inherited` is what the
    errors of all earlier steps have become by the end of this one.
    """

    x: Tensor  # of the float run
    x_q: Tensor  # of the quantized run
    one_step: Tensor  # what the quantized model makes of the float x_t

    @property
    def fresh(self) -> Tensor:
        return self.one_step - self.x

    @property
    def inherited(self) -> Tensor:
        return self.x_q - self.one_step


@dataclass(frozen=True)
class PartedStep:
    """One step of a float run and of the quantized runs beside it."""

    index: int
    timestep: float
    parts: tuple[ErrorParts, ...]  # one a quantized model
    seconds: tuple[float, ...]  # this step took: float first, then every quantized run


def part_errors(
    model: ModelHandle,
    quantized: Sequence[ModelHandle],
    spec: SamplingSpec,
    first: int = 0,
    count: int | None = None,
    conditioning: Conditioning | None = None,
) -> Iterator[PartedStep]:
    """Samples `first` .. `first + count` of a run through all models from the same noise.

    Every quantized model is called twice a step: on its own x_t, and on the float run's.
    """
    count = spec.samples if count is None else count
    told = conditioning or condition(model, spec.prompt, spec.guidance_scale)
    floating = _begun(model, spec, first, count, told)
    runs = [_begun(handle, spec, first, count, told) for handle in quantized]
    for index, t in enumerate(floating.scheduler.timesteps):
        before = floating.fork()
        seconds = [_timed(run, t) for run in (floating, *runs)]
        parts = tuple(
            ErrorParts(floating.x, run.x, before.fork(run.handle).advance(t)) for run in runs
        )
        yield PartedStep(index, float(t), parts, tuple(seconds))


@dataclass
class _Run:
    """A run on its way, with all that its next step depends on."""

    handle: ModelHandle
    scheduler: Any
    generators: list[torch.Generator]
    told: Conditioning
    x: Tensor  # [N, C, H, W]

    def fork(self, handle: ModelHandle | None = None) -> _Run:
        """The same run at the same place, apart from now on; perhaps with another model."""
        scheduler = copy.deepcopy(self.scheduler)
        generators = [_same(generator) for generator in self.generators]
        return _Run(handle or self.handle, scheduler, generators, self.told, self.x)

    @torch.no_grad()
    def advance(self, t: Tensor) -> Tensor:
        """Take one step; x_t is replaced by what follows it."""
        kwargs = self.told.for_batch(len(self.x))
        noise = predict(self.handle, self.scheduler, self.x, t, self.told, kwargs)
        arguments = step_arguments(self.scheduler, self.generators)
        self.x = self.scheduler.step(noise, t, self.x, **arguments).prev_sample
        return self.x


def _begun(
    handle: ModelHandle, spec: SamplingSpec, first: int, count: int, told: Conditioning
) -> _Run:
    scheduler = make_scheduler(handle.pipeline.scheduler, spec.scheduler, spec.steps, handle.device)
    generators = sample_generators(spec.seed, first, count)
    x = initial_noise(handle, generators) * scheduler.init_noise_sigma
    return _Run(handle, scheduler, generators, told, x)


def _same(generator: torch.Generator) -> torch.Generator:
    """A generator that will draw what the given one will."""
    return torch.Generator().set_state(generator.get_state())


def _timed(run: _Run, t: Tensor) -> float:
    started = time.perf_counter()
    run.advance(t)
    return time.perf_counter() - started
