"""Running the denoiser over a calibration set, one timestep a pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from analysis.calibration.record import CalibrationSet
from analysis.capture.features import middle, output_of
from analysis.models.conditioning import Conditioning
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import batches
from analysis.records import Array

_ADDED = "added_cond_kwargs."


def to_cond(told: Conditioning) -> dict[str, Array]:
    """Denoiser arguments as arrays [1 or 2, ...]; `added_cond_kwargs` behind a dot."""
    named = {**told.kwargs, **{f"{_ADDED}{name}": row for name, row in told.added.items()}}
    return {name: _plain(row) for name, row in named.items()}


def conditioning_of(calibration: CalibrationSet, model: ModelHandle) -> Conditioning:
    """What the denoiser is told besides the samples of a set, on the model's device."""
    rows = {name: _row(array, model) for name, array in calibration.cond.items()}
    guidance = calibration.spec.guidance_scale if calibration.spec else None
    two = any(len(row) == 2 for row in rows.values())
    return Conditioning(
        # Two rows are guidance, also where its scale was left to the default.
        (guidance or 2.0) if two else None,
        {name: row for name, row in rows.items() if not name.startswith(_ADDED)},
        {name.removeprefix(_ADDED): row for name, row in rows.items() if name.startswith(_ADDED)},
    )


@dataclass(frozen=True)
class Pass:
    """Samples that the denoiser is given in one go; they share a timestep."""

    rows: Array  # [n] positions in the set
    step: int  # position of the timestep among the distinct ones
    before: int  # samples in earlier passes


def passes(calibration: CalibrationSet, batch: int) -> Iterator[Pass]:
    """The whole set in passes, noise first."""
    before = 0
    for step, t in enumerate(distinct_timesteps(calibration)):
        alike = np.flatnonzero(calibration.t == t)
        for first, count in batches(len(alike), batch):
            yield Pass(alike[first : first + count], step, before)
            before += count


@torch.no_grad()
def run_pass(
    model: ModelHandle, calibration: CalibrationSet, told: Conditioning, one: Pass
) -> torch.Tensor:
    """The denoiser's output [n, C, H, W] for the samples of a pass; with guidance [2n, ...]."""
    x = torch.from_numpy(calibration.x_t[one.rows]).to(model.device, model.dtype)
    x = torch.cat([x, x]) if told.guided else x  # [2n, C, H, W]
    t = torch.tensor(calibration.t[one.rows[0]], dtype=torch.float32, device=model.device)
    return model.denoiser(x, t, **told.for_batch(len(one.rows))).sample


def distinct_timesteps(calibration: CalibrationSet) -> Array:
    """Timesteps [T'] that have a sample, noise first."""
    return np.unique(calibration.t)[::-1]


def set_features(model: ModelHandle, calibration: CalibrationSet, batch: int) -> Array:
    """Middle feature vectors [N, C] of the set, averaged over positions."""
    found: dict[int, Array] = {}
    told = conditioning_of(calibration, model)
    with output_of(model.denoiser, middle(model.denoiser)) as latest:
        for one in passes(calibration, batch):
            run_pass(model, calibration, told, one)
            maps = latest[0][-len(one.rows) :].float().flatten(2).mean(dim=2)  # [n, C]
            found.update(zip(one.rows.tolist(), maps.cpu().numpy(), strict=True))
    return np.stack([found[i] for i in range(calibration.size)])


def _plain(row: torch.Tensor) -> Array:
    row = row.detach().cpu()
    return (row.float() if row.is_floating_point() else row).numpy()


def _row(array: Array, model: ModelHandle) -> torch.Tensor:
    row = torch.from_numpy(array).to(model.device)
    return row.to(model.dtype) if row.is_floating_point() else row
