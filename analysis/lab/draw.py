"""Calibration sets beside the runs that they stand for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from analysis.calibration.geometry import (
    as_features,
    coverage,
    density,
    diversity,
    pairwise_distances,
    quantile_radius,
)
from analysis.calibration.own_runs import Source, step_features
from analysis.calibration.passes import set_features
from analysis.calibration.record import CalibrationReport, CalibrationSet
from analysis.calibration.run import FEATURE_SAMPLES, calibrate
from analysis.calibration.samplers import SAMPLERS
from analysis.calibration.samplers.tdac import QUANTILE
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import DEFAULT_BATCH, sampling_spec, visited_timesteps
from analysis.progress import Progress, ShouldStop
from analysis.records import Array, SamplingSpec

HELD_OUT_SEED = 1_000_003  # of the runs that sets are judged by; no set is drawn with it


@dataclass(frozen=True)
class Sampling:
    """How runs are sampled; nothing given is the model's own way."""

    scheduler: str | None = None
    prompt: str | None = None
    guidance_scale: float | None = None

    @classmethod
    def of(cls, spec: SamplingSpec) -> Sampling:
        """As the runs of a capture were."""
        return cls(spec.scheduler, spec.prompt, spec.guidance_scale)


@dataclass(frozen=True)
class Landscape:
    """How 16 held-out runs lie in feature space: what all sets of as many steps are held against.

    Density and diversity are EDA-DM's D_t and V_t (`analysis.calibration.geometry`), with the
    25 % quantile of the pairwise distances as radius.
    """

    model_digest: str
    steps: int  # of the runs; a scheduler may visit more timesteps or fewer
    timesteps: Array  # [T], noise first
    vectors: Array  # [T, n, C] feature maps averaged over positions
    density: Array  # [T] other steps within the radius
    diversity: Array  # [T] summed cosine distance to the other steps
    radius: float
    how: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True)
class DrawnSet:
    """A calibration set with its report, and where its samples lie in feature space."""

    calibration: CalibrationSet
    vectors: Array  # [N, C] feature maps averaged over positions


def landscape(
    model: ModelHandle,
    steps: int,
    how: Sampling | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Landscape:
    """Run 16 held-out samples of a model and look at the middle of its denoiser.

    Raises:
        UserError: for steps that make no sense and features that are not finite.
        Cancelled: when `should_stop` says so.
    """
    how = how or Sampling()
    spec = sampling_spec(model, steps, FEATURE_SAMPLES, HELD_OUT_SEED, **asdict(how))
    timesteps = visited_timesteps(model, spec)
    told = condition(model, how.prompt, how.guidance_scale)
    source = Source(model, spec, timesteps, told, DEFAULT_BATCH, progress, should_stop)
    maps = as_features(step_features(source, 0, FEATURE_SAMPLES))  # [T, n, C, P]
    distances = pairwise_distances(maps)
    radius = quantile_radius(distances, QUANTILE)
    vectors = maps.mean(axis=3)  # [T, n, C]
    near, far = density(distances, radius), diversity(maps)
    return Landscape(model.digest, steps, timesteps, vectors, near, far, radius, how)


def draw_set(
    model: ModelHandle,
    land: Landscape,
    sampler: str,
    size: int,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    **options: Any,
) -> DrawnSet:
    """Draw a calibration set and report how much of the landscape it covers.

    The set is the one that `analysis.calibrate` draws for the same arguments; runs are shared
    where the sampler can, and sampled as the landscape's are. Its coverage is measured on the
    landscape's runs, so that sets of different seeds and sizes are held against the same.

    Raises:
        UserError: as `calibrate`.
        Cancelled: when `should_stop` says so.
    """
    shares = "shared_runs" in SAMPLERS.get(sampler).__dataclass_fields__
    drawn = calibrate(
        model,
        sampler,
        size,
        seed,
        land.steps,
        with_report=False,
        progress=progress,
        should_stop=should_stop,
        **asdict(land.how),
        **({"shared_runs": True, **options} if shares else options),
    )
    vectors = set_features(model, drawn, DEFAULT_BATCH)
    covered = coverage(list(land.vectors), vectors)
    report = CalibrationReport(land.density, land.diversity, land.radius, covered)
    return DrawnSet(replace(drawn, report=report), np.asarray(vectors, dtype=np.float32))
