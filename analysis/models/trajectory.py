"""Sampling as a generator: one step of the denoising run at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analysis.errors import UserError, check_whole
from analysis.models.conditioning import Conditioning, condition
from analysis.models.handle import ModelHandle
from analysis.models.schedulers import make_scheduler, scheduler_name, step_arguments
from analysis.models.smaller_batches import with_smaller_batches
from analysis.progress import Progress, ShouldStop, Teller
from analysis.records import Array, SamplingSpec

DEFAULT_BATCH = 16


@dataclass(frozen=True)
class Step:
    """One call of the denoiser and what the scheduler made of it."""

    index: int  # position in the scheduler's list; second-order schedulers visit a t twice
    timestep: float
    x_t: torch.Tensor  # [N, C, H, W]
    noise_pred: torch.Tensor  # [N, C, H, W], after guidance
    x_next: torch.Tensor  # [N, C, H, W]


def sample_generators(seed: int, first: int, count: int) -> list[torch.Generator]:
    """One random generator a sample, so that a sample does not depend on its batch."""
    check_whole("seed", seed, 0)
    seeds = [
        int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0] >> 1)
        for index in range(first, first + count)
    ]
    return [torch.Generator().manual_seed(s) for s in seeds]


def initial_noise(model: ModelHandle, generators: list[torch.Generator]) -> torch.Tensor:
    """Standard normal noise [N, C, H, W], one generator a row."""
    rows = [torch.randn(1, *model.sample_shape, generator=g) for g in generators]
    return torch.cat(rows).to(device=model.device, dtype=model.dtype)


def sampling_spec(
    model: ModelHandle,
    steps: int = 50,
    samples: int = 16,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
) -> SamplingSpec:
    """Check the arguments of a sampling run and name its scheduler."""
    check_whole("samples", samples)
    if guidance_scale is not None and not math.isfinite(guidance_scale):
        raise UserError(f"guidance_scale must be a finite number; got {guidance_scale}.")
    sample_generators(seed, 0, 1)
    chosen = make_scheduler(model.pipeline.scheduler, scheduler, steps, torch.device("cpu"))
    return SamplingSpec(steps, samples, seed, scheduler_name(chosen), prompt, guidance_scale)


def trajectory(
    model: ModelHandle,
    spec: SamplingSpec,
    first: int = 0,
    count: int | None = None,
    conditioning: Conditioning | None = None,
) -> Iterator[Step]:
    """Denoise samples `first` .. `first + count` of a run from noise, yielding every step.

    The pictures equal those of the pipeline itself for the same generators (tested against
    diffusers' DDIM, DDPM and Stable Diffusion pipelines).
    """
    count = spec.samples if count is None else count
    told = conditioning or condition(model, spec.prompt, spec.guidance_scale)
    scheduler = make_scheduler(model.pipeline.scheduler, spec.scheduler, spec.steps, model.device)
    generators = sample_generators(spec.seed, first, count)
    arguments = step_arguments(scheduler, generators)
    kwargs = told.for_batch(count)
    x = initial_noise(model, generators) * scheduler.init_noise_sigma
    for index, t in enumerate(scheduler.timesteps):
        noise_pred = predict(model, scheduler, x, t, told, kwargs)
        with torch.no_grad():
            following = scheduler.step(noise_pred, t, x, **arguments).prev_sample
        yield Step(index, float(t), x, noise_pred, following)
        x = following


@torch.no_grad()
def predict(
    model: ModelHandle,
    scheduler: Any,
    x: torch.Tensor,
    t: torch.Tensor,
    told: Conditioning,
    kwargs: dict[str, Any],
) -> torch.Tensor:
    """One denoiser call, with classifier-free guidance (Ho & Salimans 2022) where it applies."""
    doubled = torch.cat([x, x]) if told.guided else x  # [2N, C, H, W]
    scaled = scheduler.scale_model_input(doubled, t)
    out = model.denoiser(scaled, t, **kwargs).sample
    if told.guided:
        unconditional, conditional = out.chunk(2)  # [N, C, H, W] each
        assert told.guidance_scale is not None
        out = unconditional + told.guidance_scale * (conditional - unconditional)
    learned_variance = out.shape[1] == 2 * x.shape[1]
    takes_variance = scheduler.config.get("variance_type") in ("learned", "learned_range")
    return out.chunk(2, dim=1)[0] if learned_variance and not takes_variance else out


def batches(samples: int, batch: int) -> Iterator[tuple[int, int]]:
    """(first, count) of every batch of a run."""
    check_whole("batch", batch)
    for first in range(0, samples, batch):
        yield first, min(batch, samples - first)


def visits(model: ModelHandle, spec: SamplingSpec) -> Array:
    """Timesteps [V] of all denoiser calls of a batch, in order.

    Schedulers of second order take most timesteps twice.
    """
    scheduler = make_scheduler(
        model.pipeline.scheduler, spec.scheduler, spec.steps, torch.device("cpu")
    )
    return scheduler.timesteps.numpy().astype(np.float64)


def visited_timesteps(model: ModelHandle, spec: SamplingSpec) -> Array:
    """Distinct timesteps [T] of a run in the order visited."""
    visited = visits(model, spec)
    _, first = np.unique(visited, return_index=True)
    return visited[np.sort(first)]


def calls(model: ModelHandle, spec: SamplingSpec, samples: int, batch: int) -> int:
    """How often `samples` of a run call the denoiser."""
    return len(visits(model, spec)) * len(list(batches(samples, batch)))


def sample(
    model: ModelHandle,
    spec: SamplingSpec,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    compile: bool = False,
) -> torch.Tensor:
    """Pictures [N, C, H, W] in [0, 1] of a whole run, on the CPU; see `compiled` for `compile`."""
    if compile:
        from analysis.models.compiled import compiled

        model = compiled(model)

    def run(at_once: int) -> torch.Tensor:
        return _sampled(model, spec, at_once, progress, should_stop)

    return with_smaller_batches(run, batch)


def _sampled(
    model: ModelHandle,
    spec: SamplingSpec,
    batch: int,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> torch.Tensor:
    told = condition(model, spec.prompt, spec.guidance_scale)
    tell = Teller(calls(model, spec, spec.samples, batch), progress, should_stop)
    pictures = []
    for first, count in batches(spec.samples, batch):
        step = None
        for step in trajectory(model, spec, first, count, told):
            tell(f"sampling, timestep {step.timestep:g}")
        assert step is not None
        pictures.append(decode(model, step.x_next))
    return torch.cat(pictures)


@torch.no_grad()
def decode(model: ModelHandle, x: torch.Tensor) -> torch.Tensor:
    """Pictures [N, C, H, W] in [0, 1] from denoised samples, through the VAE if there is one."""
    vae = getattr(model.pipeline, "vae", None) or getattr(model.pipeline, "vqvae", None)
    if vae is not None:
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        rows = [vae.decode(row / vae.config.scaling_factor + shift).sample for row in x.split(1)]
        x = torch.cat(rows)
    return (x / 2 + 0.5).clamp(0, 1).float().cpu()
