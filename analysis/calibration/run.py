"""Calibrate: choose steps, and take noisy samples there."""

from __future__ import annotations

from dataclasses import asdict, replace
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
from analysis.calibration.passes import set_features, to_cond
from analysis.calibration.record import CalibrationReport, CalibrationSet
from analysis.calibration.samplers import CalibrationSampler, make_sampler
from analysis.calibration.samplers.tdac import QUANTILE
from analysis.errors import UserError
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import DEFAULT_BATCH, sampling_spec, visited_timesteps
from analysis.progress import Progress, ShouldStop
from analysis.records import Array

FEATURE_SAMPLES = 16  # of the batch whose feature maps are looked at


def calibrate(
    model: ModelHandle,
    sampler: str = "tdac",
    size: int = 256,
    seed: int = 0,
    steps: int = 50,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
    with_report: bool = True,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    **options: Any,
) -> CalibrationSet:
    """Draw exactly `size` noisy samples with timesteps of a run of `steps` steps, noise first.

    The same arguments give the same set. Features, for TDAC and for the report, come from a
    batch of 16 runs that no sample is taken from.

    Args:
        sampler: a name in `analysis.calibration.SAMPLERS`; `options` are its fields.
        with_report: also measure density, diversity and coverage, which costs 16 more runs
            unless the sampler needs them itself, and one pass over the set.

    Raises:
        UserError: for a size below 1 or too small for the sampler, unknown names and options,
            sampling arguments that make no sense, and features that are not finite.
        Cancelled: when `should_stop` says so.
    """
    chosen = make_sampler(sampler, options)
    spec = sampling_spec(model, steps, 1, seed, scheduler, prompt, guidance_scale)
    timesteps = visited_timesteps(model, spec)
    chosen.check(len(timesteps), size)
    told = condition(model, prompt, guidance_scale)
    source = Source(model, spec, timesteps, told, batch, progress, should_stop)

    def draw(at_once: int) -> CalibrationSet:
        return _drawn(sampler, chosen, replace(source, batch=at_once), size, with_report)

    return with_smaller_batches(draw, batch)


def _drawn(
    sampler: str, chosen: CalibrationSampler, source: Source, size: int, with_report: bool
) -> CalibrationSet:
    """The samples that a sampler picks, and what they cover."""
    timesteps, seed = source.timesteps, source.spec.seed
    features = None
    if with_report or chosen.uses_features:
        features = step_features(source, size, FEATURE_SAMPLES)
        as_features(features)  # NaN is noticed before the long part
    positions = np.sort(chosen.steps(len(timesteps), size, features, seed))
    x_t = chosen.x_t(source, positions)
    _check_finite(x_t)
    drawn = CalibrationSet(
        x_t=x_t,
        t=timesteps[positions],
        cond=to_cond(source.told),
        sampler=sampler,
        seed=seed,
        model=source.model.name,
        model_digest=source.model.digest,
        spec=replace(source.spec, samples=size, guidance_scale=source.told.guidance_scale),
        timesteps=timesteps,
        options=_plain_options(chosen),
    )
    if not with_report or features is None:
        return drawn
    return replace(drawn, report=_report(drawn, features, chosen, source))


def _report(
    calibration: CalibrationSet,
    features: list[Array],
    sampler: CalibrationSampler,
    source: Source,
) -> CalibrationReport:
    """Where the steps lie, by TDAC's measures and radius, and what the set covers."""
    maps = as_features(features)
    distances = pairwise_distances(maps)
    radius = getattr(sampler, "radius", None)
    if radius is None:
        radius = quantile_radius(distances, getattr(sampler, "radius_quantile", QUANTILE))
    covered = coverage(features, set_features(source.model, calibration, source.batch))
    return CalibrationReport(density(distances, radius), diversity(maps), float(radius), covered)


def _check_finite(x_t: Array) -> None:
    if not np.isfinite(x_t).all():
        raise UserError(
            "The model's own runs hold NaN or infinite values; check its weights, or use another "
            "scheduler or more steps."
        )


def _plain_options(sampler: CalibrationSampler) -> dict[str, Any]:
    """Options as JSON's types; images given as a tensor are named by their shape."""
    plain = asdict(sampler)
    for name, value in plain.items():
        if hasattr(value, "shape"):
            plain[name] = f"{list(value.shape)} given"
        elif not isinstance(value, str | int | float | bool | None):
            plain[name] = str(value)
    return plain
