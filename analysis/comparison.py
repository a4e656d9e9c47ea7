"""Float against quantized from the same noise: pictures, distances, and where they part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from analysis.metrics.frechet import frechet, frechet_to_data
from analysis.metrics.image import psnr, ssim
from analysis.metrics.sqnr import sqnr_db
from analysis.models.compiled import compiled, why_not_compiled
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import (
    DEFAULT_BATCH,
    Step,
    batches,
    calls,
    decode,
    sampling_spec,
    trajectory,
    visited_timesteps,
)
from analysis.progress import Progress, ShouldStop, Teller
from analysis.quant.model import QuantizedModel
from analysis.records import Array, SamplingSpec
from analysis.unseen import unseen_timesteps

_Pictures = list[tuple[torch.Tensor, torch.Tensor]]
FRECHET_SHAPE = (1, 32, 32)  # what the bundled classifier has learned to look at


@dataclass(frozen=True)
class Comparison:
    """Pictures of both models from the same noise, and what sets them apart.

    `values` holds psnr_db and sqnr_db in dB, ssim, Frechet distances to the training data
    (`None` where the model is not the bundled kind), the divergence of every step, timesteps that
    the calibration has not seen, and seconds.
    """

    reference: Array  # [N, C, H, W] in [0, 1], of the float model
    candidate: Array  # [N, C, H, W] in [0, 1], of the quantized one
    values: dict[str, Any]
    spec: SamplingSpec


def compare(
    model: ModelHandle,
    quantized: QuantizedModel,
    samples: int = 64,
    steps: int = 50,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    compile: bool = False,
) -> Comparison:
    """Sample both models side by side from the same noise and measure the difference.

    The divergence of a step is |x_q - x| / |x| over all samples after it: 0 is no difference.
    A Frechet distance depends on the number of samples: `values["samples"]` stands beside it.

    Args:
        compile: sample both under torch.compile, whose first pass takes long; where it does not
            work `values["not_compiled"]` says why, and they are sampled without.

    Raises:
        UserError: for steps, samples, seed, scheduler or prompt that make no sense.
        Cancelled: when `should_stop` says so.
    """
    spec = sampling_spec(model, steps, samples, seed, scheduler, prompt, guidance_scale)
    pairing = [model, quantized.handle]
    if compile:
        pairing = [compiled(one) for one in pairing]

    def run(at_once: int) -> tuple[_Tally, _Pictures]:
        return _side_by_side(pairing, spec, at_once, progress, should_stop)

    tally, pictures = with_smaller_batches(run, batch)
    reference, candidate = (torch.cat(side) for side in zip(*pictures, strict=True))
    values = {
        "samples": samples,
        "steps": steps,
        **tally.values(),
        "unseen_timesteps": unseen_timesteps(quantized, visited_timesteps(model, spec)),
        **picture_values(reference, candidate),
        **({"not_compiled": why_not_compiled(pairing)} if compile else {}),
    }
    return Comparison(reference.numpy(), candidate.numpy(), values, spec)


def _side_by_side(
    pairing: Sequence[ModelHandle],
    spec: SamplingSpec,
    batch: int,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> tuple[_Tally, _Pictures]:
    """What sets both models apart, and their pictures, a batch at a time."""
    tally, pictures = _Tally(), _Pictures()
    tell = Teller(calls(pairing[0], spec, spec.samples, batch), progress, should_stop)
    for first, count in batches(spec.samples, batch):
        pair = None
        for pair in _lockstep(pairing, spec, first, count, tally):
            tell(f"timestep {pair[0].timestep:g}")
            tally.add(*pair)
        assert pair is not None
        tally.add_result(pair[0].x_next, pair[1].x_next)
        model = pairing[0]
        pictures.append((decode(model, pair[0].x_next), decode(model, pair[1].x_next)))
    return tally, pictures


def picture_values(reference: torch.Tensor, candidate: torch.Tensor) -> dict[str, Any]:
    """PSNR, SSIM and Frechet distances of pictures [N, C, H, W]; `None` where there is none."""
    return {
        "psnr_db": psnr(reference, candidate),
        "ssim": _ssim(reference, candidate),
        **_frechet(reference, candidate),
    }


@dataclass
class _Tally:
    """Sums over batches: differences by step, the final difference, seconds of both models."""

    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    difference: dict[int, float] = field(default_factory=dict)
    power: dict[int, float] = field(default_factory=dict)
    results: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)

    def add(self, reference: Step, candidate: Step) -> None:
        x, x_q = reference.x_next.double(), candidate.x_next.double()
        i = reference.index
        self.difference[i] = self.difference.get(i, 0.0) + float((x_q - x).square().sum())
        self.power[i] = self.power.get(i, 0.0) + float(x.square().sum())

    def add_result(self, reference: torch.Tensor, candidate: torch.Tensor) -> None:
        self.results.append((reference.cpu(), candidate.cpu()))

    def values(self) -> dict[str, Any]:
        x, x_q = (torch.cat(side) for side in zip(*self.results, strict=True))
        return {
            "sqnr_db": sqnr_db(x, x_q),
            "divergence": [
                float(np.sqrt(self.difference[i] / self.power[i])) for i in sorted(self.power)
            ],
            "seconds_float": self.seconds[0],
            "seconds_quantized": self.seconds[1],
        }


def _lockstep(
    pair: Sequence[ModelHandle], spec: SamplingSpec, first: int, count: int, tally: _Tally
) -> Iterator[tuple[Step, Step]]:
    """Both runs a step at a time, so that no trajectory has to be kept; each one is timed."""
    told = condition(pair[0], spec.prompt, spec.guidance_scale)
    runs = [trajectory(handle, spec, first, count, told) for handle in pair]
    while True:
        steps = []
        for i, run in enumerate(runs):
            started = time.perf_counter()
            step = next(run, None)
            tally.seconds[i] += time.perf_counter() - started
            if step is None:
                return
            steps.append(step)
        yield steps[0], steps[1]


def _ssim(reference: torch.Tensor, candidate: torch.Tensor) -> float | None:
    """SSIM, or `None` for pictures smaller than its window of 11 pixels."""
    return ssim(reference, candidate) if min(reference.shape[-2:]) >= 11 else None


def _frechet(reference: torch.Tensor, candidate: torch.Tensor) -> dict[str, float | None]:
    if tuple(reference.shape[1:]) != FRECHET_SHAPE or len(reference) < 2:
        return dict.fromkeys(("frechet_float", "frechet_quantized", "frechet_between"))
    return {
        "frechet_float": frechet_to_data(reference),
        "frechet_quantized": frechet_to_data(candidate),
        "frechet_between": frechet(reference, candidate),
    }
