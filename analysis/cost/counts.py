"""How often work will call the denoiser, and with how many samples: counted, not measured."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from analysis.calibration.allocation import allocate
from analysis.calibration.samplers.forward import OWN_SAMPLES, Forward
from analysis.calibration.samplers.own import OwnRunSampler
from analysis.calibration.samplers.sampler import CalibrationSampler
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import batches, visited_timesteps, visits
from analysis.records import Array, SamplingSpec

Passes = Counter[int]  # samples of a pass -> how many such passes
FEATURE_SAMPLES = 16  # of the batch that calibration looks at features of


def sampling_passes(model: ModelHandle, spec: SamplingSpec, batch: int) -> Passes:
    """Of a whole sampling run; schedulers of second order call twice a step."""
    visited = len(visits(model, spec))
    found: Passes = Counter()
    for _, count in batches(spec.samples, batch):
        found[count] += visited
    return found


def calibration_passes(
    model: ModelHandle,
    spec: SamplingSpec,
    sampler: CalibrationSampler,
    size: int,
    batch: int,
    with_report: bool,
) -> Passes:
    """Of drawing a calibration set of `size` samples.

    Exact but for samplers that look at features: those are taken to spread evenly over the steps.
    """
    visited, timesteps = visits(model, spec), visited_timesteps(model, spec)
    found: Passes = Counter()
    if with_report or sampler.uses_features:
        for _, count in batches(FEATURE_SAMPLES, batch):
            found[count] += len(visited)
    positions = drawn_positions(sampler, len(timesteps), size, spec.seed)
    found += _drawing(sampler, positions, visited, timesteps, batch)
    if with_report:
        found += set_passes(positions, batch)
    return found


def drawn_positions(sampler: CalibrationSampler, steps: int, size: int, seed: int) -> Array:
    """Steps [N] of the samples, in order."""
    if sampler.uses_features:
        return np.repeat(np.arange(steps), allocate(np.full(steps, 1 / steps), size))
    return np.sort(sampler.steps(steps, size, None, seed))


def set_passes(timesteps: Array, batch: int) -> Passes:
    """Of running the denoiser on a set once, timestep by timestep; `timesteps` [N] of its rows."""
    found: Passes = Counter()
    for alike in np.unique(timesteps, return_counts=True)[1].tolist():
        for _, count in batches(alike, batch):
            found[count] += 1
    return found


def _drawing(
    sampler: Any, positions: Array, visited: Array, timesteps: Array, batch: int
) -> Passes:
    """Of the runs that samples are taken from."""
    kind, found = type(sampler), Counter[int]()
    if kind.x_t is Forward.x_t:
        if sampler.images is None:
            for _, count in batches(min(len(positions), OWN_SAMPLES), batch):
                found[count] += len(visited)
    elif kind.x_t in (CalibrationSampler.x_t, OwnRunSampler.x_t):
        runs = np.arange(len(positions))
        if getattr(sampler, "shared_runs", False):
            runs = runs - np.searchsorted(positions, positions)
        for first, count in batches(int(runs.max()) + 1, batch):
            mine = (first <= runs) & (runs < first + count)
            last = timesteps[positions[mine].max()]
            found[count] += int(np.argmax(visited == last)) + 1  # a run ends at its last sample
    return found
