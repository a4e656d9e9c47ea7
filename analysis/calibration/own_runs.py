"""Noisy samples from the model's own denoising runs, and feature maps along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from analysis.capture.features import input_of, middle, output_of
from analysis.models.conditioning import Conditioning
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import batches, calls, trajectory
from analysis.progress import Progress, ShouldStop, Teller, check_stop, report
from analysis.records import Array, SamplingSpec


@dataclass(frozen=True)
class Source:
    """Where noisy samples come from: a model, how it is sampled, and who wants to know."""

    model: ModelHandle
    spec: SamplingSpec
    timesteps: Array  # [T] distinct, in the order visited
    told: Conditioning
    batch: int
    progress: Progress | None = None
    should_stop: ShouldStop | None = None

    def position(self, timestep: float) -> int:
        """Step of a timestep."""
        return int(np.argmin(np.abs(self.timesteps - timestep)))


def own_runs(source: Source, steps: Array, runs: Array) -> Array:
    """x_t [N, C, H, W] float32 as the denoiser was given it, at step steps[i] of run runs[i].

    Runs go in batches, each only as far as its last wanted step; nothing but what is picked is
    kept. A step that a second-order scheduler visits twice is taken at its first visit.
    """
    out = np.empty((len(steps), *source.model.sample_shape), dtype=np.float32)
    parts = [
        (first, count, np.flatnonzero((first <= runs) & (runs < first + count)))
        for first, count in batches(int(runs.max()) + 1, source.batch)
    ]
    done, total = 0, sum(int(steps[mine].max()) + 1 for _, _, mine in parts)
    for first, count, mine in parts:
        last, seen = int(steps[mine].max()), -1
        with input_of(source.model.denoiser) as latest:
            for step in trajectory(source.model, source.spec, first, count, source.told):
                position = source.position(step.timestep)
                if position != seen:
                    here = mine[steps[mine] == position]
                    out[here] = latest[0].float().cpu().numpy()[runs[here] - first]
                    done, seen = done + 1, position
                check_stop(source.should_stop)
                report(source.progress, done, total, f"own runs, timestep {step.timestep:g}")
                if position >= last:
                    break
    return out


def final_samples(source: Source, count: int) -> torch.Tensor:
    """x_0 [n, C, H, W] of `count` own runs, on the model's device."""
    ends = []
    total = calls(source.model, source.spec, count, source.batch)
    tell = Teller(total, source.progress, source.should_stop)
    for first, size in batches(count, source.batch):
        step = None
        for step in trajectory(source.model, source.spec, first, size, source.told):
            tell(f"sampling x_0, timestep {step.timestep:g}")
        assert step is not None
        ends.append(step.x_next)
    return torch.cat(ends)


def step_features(source: Source, first: int, count: int) -> list[Array]:
    """Middle feature maps [n, C, ...] float32 of samples `first` ..., one array a step, T of them.

    With guidance the conditional half is kept.
    """
    parts = [_features(source, first + at, size) for at, size in batches(count, source.batch)]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def _features(source: Source, first: int, count: int) -> list[Array]:
    """Those of one batch."""
    found: dict[int, Array] = {}
    denoiser = source.model.denoiser
    with output_of(denoiser, middle(denoiser)) as latest:
        for step in trajectory(source.model, source.spec, first, count, source.told):
            features = latest[0][-count:].float().cpu().numpy()
            found.setdefault(source.position(step.timestep), features)
            check_stop(source.should_stop)
            text = f"features, timestep {step.timestep:g}"
            report(source.progress, len(found), len(source.timesteps), text)
    return [found[position] for position in range(len(source.timesteps))]
