"""Float and several quantized models from the same noise, with the error of each step parted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.comparison import Comparison, picture_values
from analysis.error_parts import ErrorParts, PartedStep, part_errors
from analysis.errors import UserError
from analysis.metrics.sqnr import sqnr_db
from analysis.models.conditioning import condition
from analysis.models.handle import ModelHandle
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import (
    DEFAULT_BATCH,
    batches,
    calls,
    decode,
    sampling_spec,
    visited_timesteps,
)
from analysis.progress import Progress, ShouldStop, Teller
from analysis.quant.model import QuantizedModel
from analysis.records import Array, SamplingSpec
from analysis.unseen import unseen_timesteps

MOST_FRAMES = 60  # steps of a film
FILM_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Film:
    """The first few samples at up to 60 steps, of all runs.

    fresh[i] + inherited[i] = x_q[i] - x at every step; see `analysis.error_parts`.
    """

    steps: Array  # [T] positions in the run
    timesteps: Array  # [T]
    x: Array  # [T, K, C, H, W] float32, after the step, of the float run
    x_q: Array  # [M, T, K, C, H, W], one for each quantized model
    one_step: Array  # [M, T, K, C, H, W], of the quantized model given the float x_t

    @property
    def fresh(self) -> Array:
        return self.one_step - self.x

    @property
    def inherited(self) -> Array:
        return self.x_q - self.one_step


@dataclass(frozen=True)
class SideBySide:
    """A comparison for every quantized model, all with the same float pictures.

    Their `values` also hold `fresh` and `inherited`: |part| / |x| after every step.
    """

    comparisons: tuple[Comparison, ...]
    film: Film


def side_by_side(
    model: ModelHandle,
    quantized: Sequence[QuantizedModel],
    samples: int = 16,
    steps: int = 50,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    batch: int = DEFAULT_BATCH,
    watched: int = 4,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> SideBySide:
    """Sample all models from the same noise, measure the differences, and film some samples.

    Args:
        watched: samples that are filmed, fewer where they would not fit in 16 MiB.

    Raises:
        UserError: for no quantized model or one of another model, and for steps, samples, seed,
            scheduler or prompt that make no sense.
        Cancelled: when `should_stop` says so.
    """
    _check(model, quantized)
    spec = sampling_spec(model, steps, samples, seed, scheduler, prompt, guidance_scale)
    told = condition(model, spec.prompt, spec.guidance_scale)
    handles = [each.handle for each in quantized]
    visited = visited_timesteps(model, spec)
    unseen = [unseen_timesteps(each, visited) for each in quantized]

    def run(at_once: int) -> SideBySide:
        tally = _Tally(len(quantized))
        camera = _Camera(model.sample_shape, len(quantized), min(watched, samples, at_once), steps)
        tell = Teller(calls(model, spec, samples, at_once), progress, should_stop)
        for first, count in batches(samples, at_once):
            step = None
            for step in part_errors(model, handles, spec, first, count, told):
                tell(f"timestep {step.timestep:g}")
                tally.add(step)
                if first == 0:
                    camera.shoot(step)
            assert step is not None
            tally.end(model, step)
        return SideBySide(tally.comparisons(spec, unseen), camera.film())

    return with_smaller_batches(run, batch)


def _check(model: ModelHandle, quantized: Sequence[QuantizedModel]) -> None:
    if not quantized:
        raise UserError("There is nothing to compare with the float model; quantize it first.")
    for each in quantized:
        if each.model_digest != model.digest:
            raise UserError(
                f"{each.name} was made from another model than {model.name}; quantize this one."
            )


class _Tally:
    """Sums over batches for all quantized models, and the pictures at the end."""

    def __init__(self, models: int) -> None:
        self.squares: dict[int, Array] = {}  # step -> [M, 4]: x, x_q - x, fresh, inherited
        self.seconds = np.zeros(1 + models)
        self.results: list[list[Tensor]] = []  # of a batch: float, then every quantized model
        self.pictures: list[list[Tensor]] = []

    def add(self, step: PartedStep) -> None:
        """Count one step of a batch."""
        sums = np.array([_squares(part) for part in step.parts])  # [M, 4]
        self.squares[step.index] = self.squares.get(step.index, np.zeros_like(sums)) + sums
        self.seconds += step.seconds

    def end(self, model: ModelHandle, last: PartedStep) -> None:
        """Keep what a batch ended in."""
        ends = [last.parts[0].x, *(part.x_q for part in last.parts)]
        self.results.append([x.cpu() for x in ends])
        self.pictures.append([decode(model, x) for x in ends])

    def comparisons(
        self, spec: SamplingSpec, unseen: Sequence[list[float]]
    ) -> tuple[Comparison, ...]:
        """One comparison for every quantized model."""
        x, *x_q = (torch.cat(run) for run in zip(*self.results, strict=True))
        reference, *candidates = (torch.cat(run) for run in zip(*self.pictures, strict=True))
        return tuple(
            Comparison(
                reference.numpy(),
                candidate.numpy(),
                {
                    "samples": spec.samples,
                    "steps": spec.steps,
                    "sqnr_db": sqnr_db(x, x_q[i]),
                    **self._by_step(i),
                    "unseen_timesteps": unseen[i],
                    "seconds_float": float(self.seconds[0]),
                    "seconds_quantized": float(self.seconds[1 + i]),
                    **picture_values(reference, candidate),
                },
                spec,
            )
            for i, candidate in enumerate(candidates)
        )

    def _by_step(self, which: int) -> dict[str, list[float]]:
        sums = np.array([self.squares[step][which] for step in sorted(self.squares)])  # [T, 4]
        relative = np.sqrt(sums[:, 1:] / sums[:, :1])  # [T, 3]
        return dict(zip(("divergence", "fresh", "inherited"), relative.T.tolist(), strict=True))


def _squares(part: ErrorParts) -> list[float]:
    tensors = (part.x, part.x_q - part.x, part.fresh, part.inherited)
    return [float(tensor.double().square().sum()) for tensor in tensors]


class _Camera:
    """Keeps some steps of some samples, within a limit on bytes."""

    def __init__(self, shape: tuple[int, ...], models: int, samples: int, steps: int) -> None:
        frame = int(np.prod(shape)) * 4 * (1 + 2 * models)  # bytes of one sample at one step
        frames = max(2, min(MOST_FRAMES, FILM_BYTES // frame))
        self.samples = max(1, min(samples, FILM_BYTES // (frame * min(frames, steps))))
        self.every = max(1, -(-steps // frames))
        self.last: tuple[int, float, list[Array]] | None = None
        self.taken: list[tuple[int, float, list[Array]]] = []

    def shoot(self, step: PartedStep) -> None:
        """Keep a step if it is one of those to keep; the last is always kept."""
        part = step.parts
        tensors = (part[0].x, *(p.x_q for p in part), *(p.one_step for p in part))
        images = [x[: self.samples].float().cpu().numpy().copy() for x in tensors]
        self.last = (step.index, step.timestep, images)
        if step.index % self.every == 0:
            self.taken.append(self.last)

    def film(self) -> Film:
        assert self.last is not None
        if self.taken[-1][0] != self.last[0]:
            self.taken.append(self.last)
        stacked = np.array([images for _, _, images in self.taken]).swapaxes(0, 1)
        models = (len(stacked) - 1) // 2
        return Film(
            steps=np.array([index for index, _, _ in self.taken]),
            timesteps=np.array([t for _, t, _ in self.taken]),
            x=stacked[0],  # [T, K, C, H, W]
            x_q=stacked[1 : 1 + models],  # [M, T, K, C, H, W]
            one_step=stacked[1 + models :],
        )
