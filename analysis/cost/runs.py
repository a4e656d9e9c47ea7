"""The cost of runs of the denoiser: sampling, capture, comparison, calibration sets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.calibration.samplers import make_sampler
from analysis.capture.run import DEFAULT_BINS, observed_layers, statistics_megabytes
from analysis.cost.counts import FEATURE_SAMPLES, Passes, calibration_passes, sampling_passes
from analysis.cost.probes import Probes
from analysis.cost.record import MEGABYTE, Estimate, total
from analysis.models.trajectory import DEFAULT_BATCH, sampling_spec
from analysis.quant.model import QuantizedModel
from analysis.quant.plan import QuantPlan
from analysis.records import SamplingSpec

FLOAT = 4  # bytes
COPIES = 4  # of feature maps: as gathered, stacked, and in double precision


def sample_cost(
    probes: Probes,
    steps: int = 50,
    samples: int = 16,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
) -> Estimate:
    """Of plain sampling, with the pictures."""
    told = steps, samples, seed, scheduler, prompt, guidance_scale
    return sampled(probes, sampling_spec(probes.model, *told), batch)


def sampled(
    probes: Probes,
    spec: SamplingSpec,
    batch: int = DEFAULT_BATCH,
    handle: Any = None,
    name: str = "sampling",
    plan: QuantPlan | None = None,
) -> Estimate:
    """Of sampling a run, of the model itself, a quantized one, or one quantized by a plan."""
    passes = sampling_passes(probes.model, spec, batch)
    if plan is None:
        cost = probes.sampling(spec, passes, handle)
    else:
        cost = probes.simulated(spec, passes, plan)
    seconds = cost.of(passes) + spec.samples * probes.decoding()
    kept = spec.samples * np.prod(probes.model.sample_shape) * FLOAT
    return found(probes, seconds, cost.bytes(max(passes)) + int(kept), name)


def compare_cost(
    probes: Probes,
    quantized: QuantizedModel,
    samples: int = 64,
    steps: int = 50,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
    real: bool = False,
) -> Estimate:
    """Of sampling the float and the quantized model side by side.

    Args:
        real: a third time, by a runtime, which is taken to be no slower than the float model.
    """
    told = steps, samples, seed, scheduler, prompt, guidance_scale
    spec = sampling_spec(probes.model, *told)
    floating = sampled(probes, spec, batch, name="float")
    simulated = sampled(probes, spec, batch, quantized.handle, "quantized")
    third = [replace(floating, parts=(("runtime", floating.seconds),))] if real else []
    return total([floating, simulated, *third])


def capture_cost(
    probes: Probes,
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
) -> Estimate:
    """Of a capture."""
    told = steps, samples, seed, scheduler, prompt, guidance_scale
    spec = sampling_spec(probes.model, *told)
    passes = sampling_passes(probes.model, spec, batch)
    cost = probes.capturing(spec, passes, layers, exact)
    share = len(observed_layers(probes.model, layers)) / len(observed_layers(probes.model, None))
    kept = share * statistics_megabytes(probes.model, steps, bins) * MEGABYTE
    on_host = probes.model.device.type == "cpu"  # statistics live there, whatever computes
    most = cost.bytes(max(passes)) + round(kept) * on_host
    return found(probes, cost.of(passes), most, "capture")


def calibrate_cost(
    probes: Probes,
    sampler: str = "tdac",
    size: int = 256,
    seed: int = 0,
    steps: int = 50,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
    with_report: bool = True,
    **options: Any,
) -> Estimate:
    """Of drawing a calibration set."""
    chosen = make_sampler(sampler, options)
    spec = sampling_spec(probes.model, steps, 1, seed, scheduler, prompt, guidance_scale)
    passes = calibration_passes(probes.model, spec, chosen, size, batch, with_report)
    features = steps if with_report or chosen.uses_features else 0
    return passed(probes, spec, passes, _set_bytes(probes.model, size, features), "calibration")


def passed(probes: Probes, spec: SamplingSpec, passes: Passes, kept: int, name: str) -> Estimate:
    """Of passes without pictures, beside which `kept` bytes are held."""
    if not passes:
        return found(probes, 0.0, probes.watch.held() + kept, name)
    # Passes of few samples are timed as part of the larger ones.
    cost = probes.sampling(spec, Counter({max(passes): sum(passes.values())}))
    return found(probes, cost.of(passes), cost.bytes(max(passes)) + kept, name)


def observed_cost(probes: Probes, spec: SamplingSpec, passes: Passes, name: str) -> Estimate:
    """Of passes whose tensors are observed."""
    cost = probes.capturing(spec, Counter({max(passes): sum(passes.values())}))
    return found(probes, cost.of(passes), cost.bytes(max(passes)), name)


def found(probes: Probes, seconds: float, most: int, name: str) -> Estimate:
    """An estimate of one stage, beside what is held and free now."""
    held = probes.watch.held()
    most = max(most, held)
    return Estimate(seconds, most, most - held, probes.watch.free(), ((name, seconds),))


def _set_bytes(model: Any, size: int, feature_steps: int) -> int:
    """Bytes of a set's samples, and of the feature maps that are gathered for it."""
    config = model.denoiser.config
    channels, levels = config.block_out_channels[-1], len(config.block_out_channels)
    _, height, width = model.sample_shape
    positions = max(1, height >> (levels - 1)) * max(1, width >> (levels - 1))
    features = feature_steps * FEATURE_SAMPLES * channels * positions * FLOAT * COPIES
    return int(size * np.prod(model.sample_shape) * FLOAT + features)
