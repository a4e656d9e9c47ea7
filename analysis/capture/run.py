"""Capture: sample, and keep the statistics of every activation on the way."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence

from analysis.capture.recorder import Recorder, finished
from analysis.capture.trace import observed
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.layers import half_refs, select_layers
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import (
    DEFAULT_BATCH,
    batches,
    calls,
    sampling_spec,
    trajectory,
    visited_timesteps,
)
from analysis.progress import Progress, ShouldStop, Teller
from analysis.records import Capture, LayerRef, SamplingSpec

DEFAULT_BINS = 512
DRAWN = 4_096  # values a layer and timestep that enter the histogram, unless exact


def capture(
    model: ModelHandle,
    steps: int = 50,
    samples: int = 16,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    layers: str | None = None,
    exact: bool = False,
    bins: int = DEFAULT_BINS,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> Capture:
    """Sample and record every layer's input at every timestep.

    Count, extremes and moments are exact. Histograms hold about 4,096 drawn values a layer
    and timestep, or with `exact` every value. The pictures that come out are unchanged.

    Args:
        layers: a glob over layer names (several with commas); `None` records all.
        bins: bins of each histogram; between half of them and all are in use.

    Raises:
        UserError: for steps, samples, seed, scheduler or layers that make no sense, and when
            an activation is not finite.
        Cancelled: when `should_stop` says so.
    """
    spec = sampling_spec(model, steps, samples, seed, scheduler, prompt, guidance_scale)
    chosen = observed_layers(model, layers)
    timesteps, drawn = visited_timesteps(model, spec), None if exact else DRAWN

    def run(at_once: int) -> Recorder:
        recorder = Recorder(timesteps, samples, seed, bins, drawn)
        sample_into(recorder, model, spec, chosen, at_once, progress, should_stop)
        return recorder

    started = time.perf_counter()
    recorder = with_smaller_batches(run, batch)
    seconds = time.perf_counter() - started
    kept, stats, absent = finished(recorder, chosen)
    names = {layer.module for layer in kept}
    return Capture(
        model=model.name,
        model_digest=model.digest,
        spec=spec,
        layers=tuple(kept),
        timesteps=recorder.timesteps,
        stats=tuple(stats),
        shortcuts=tuple(s for s in model.shortcuts if s.layer in names),
        exact=exact,
        seconds=seconds,
        peak_mb=peak_megabytes(),
        meta={"never_ran": absent},
    )


def observed_layers(model: ModelHandle, pattern: str | None) -> tuple[LayerRef, ...]:
    """The chosen layers, and both halves of every chosen layer that eats a concatenation."""
    chosen = select_layers([*model.layers, *half_refs(model.shortcuts)], pattern)
    names, modules = {layer.name for layer in chosen}, {layer.module for layer in chosen}
    halves = [h for h in half_refs(model.shortcuts) if h.module in modules and h.name not in names]
    return (*chosen, *halves)


def sample_into(
    recorder: Recorder,
    model: ModelHandle,
    spec: SamplingSpec,
    layers: Sequence[LayerRef],
    batch: int,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> None:
    """Run the whole sampling under observation."""
    told = condition(model, spec.prompt, spec.guidance_scale)
    tell = Teller(calls(model, spec, spec.samples, batch), progress, should_stop)
    with observed(model.denoiser, layers, model.shortcuts, recorder.observe, recorder.begin_pass):
        for first, count in batches(spec.samples, batch):
            recorder.begin_batch(first, count)
            for step in trajectory(model, spec, first, count, told):
                recorder.flush()
                tell(f"timestep {step.timestep:g}")


def peak_megabytes() -> float:
    """Most memory this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def statistics_megabytes(model: ModelHandle, steps: int, bins: int = DEFAULT_BINS) -> float:
    """About how many MB the statistics of all layers over `steps` timesteps take in memory."""
    tensors = len(observed_layers(model, None))
    channels = sum(layer.shape[1] for layer in model.layers if len(layer.shape) > 1)
    return steps * (tensors * (bins * 4 + 24) + channels * 2 * 4) / 1e6
