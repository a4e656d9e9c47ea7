"""Turns observed tensors into per-layer, per-timestep statistics, with bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NoReturn

import numpy as np
import torch

from analysis.capture.columns import LayerColumns, merge, to_host
from analysis.capture.summary import Summary, summarize
from analysis.errors import UserError
from analysis.records import Array, LayerRef, LayerStats


class Recorder:
    """Observer of a whole run: give it batches, timesteps and tensors, then ask for statistics.

    The values of a histogram are drawn with replacement by a generator seeded with the layer's
    name, `drawn / samples` a sample, whatever the batch size. A sample that has no more values
    than that is counted in full.
    """

    def __init__(
        self, timesteps: Array, samples: int, seed: int, bins: int, drawn: int | None
    ) -> None:
        self.timesteps = np.asarray(timesteps)
        self.columns: dict[str, LayerColumns] = {}
        self._samples, self._seed, self._bins = samples, seed, bins
        self._per_sample = None if drawn is None else max(1, -(-drawn // samples))
        self._step = 0
        self._first, self._size = 0, 1
        self._pending: dict[str, Summary] = {}
        self._previous: tuple[torch.Tensor, bool, Summary] | None = None
        self._draws: dict[tuple[str, int, int], Array] = {}
        self._positions: dict[tuple[str, int, int], torch.Tensor] = {}

    def begin_batch(self, first: int, size: int) -> None:
        """Samples `first` .. `first + size` come next."""
        self._first, self._size = first, size
        self._positions.clear()

    def begin_pass(self, timestep: float) -> None:
        """The denoiser is called for this timestep."""
        self._step = int(np.argmin(np.abs(self.timesteps - timestep)))

    def observe(self, layer: LayerRef, x: torch.Tensor) -> None:
        """Take in one tensor [N, ...]; layers that share a tensor share its summary."""
        channels_last = layer.kind == "linear" or layer.tap in ("q", "k", "v")
        if self._previous and self._previous[0] is x and self._previous[1] == channels_last:
            summary = self._previous[2]
        else:
            summary = summarize(x, channels_last, self._picked(layer, x))
            self._previous = (x, channels_last, summary)
        earlier = self._pending.get(layer.name)
        self._pending[layer.name] = earlier.merge(summary) if earlier else summary
        if self._per_sample is None:
            self.flush()  # all values of all layers at once would not fit

    def flush(self) -> None:
        """Bring what was observed to the host, in one go, and merge it."""
        pending, self._pending, self._previous = self._pending, {}, None
        if not pending:
            return
        batch = to_host(list(pending.values()))
        finite = np.isfinite(batch.low.sum()) and np.isfinite(batch.high.sum())
        if not (finite and np.isfinite(batch.m2).all()):
            self._complain(list(pending), np.isfinite(batch.m2))
        merge([self._column(n, s) for n, s in pending.items()], self._step, batch)

    def _column(self, name: str, summary: Summary) -> LayerColumns:
        if name not in self.columns:
            channels = summary.channel_min.numel()
            self.columns[name] = LayerColumns(len(self.timesteps), self._bins, channels)
        return self.columns[name]

    def _complain(self, names: list[str], fine: Array) -> NoReturn:
        broken = next((n for n, ok in zip(names, fine, strict=True) if not ok), names[0])
        raise UserError(
            f"The activations of {broken} are not finite at timestep "
            f"{self.timesteps[self._step]:g}; use more bits or fewer quantized layers, or "
            "check the model's weights."
        )

    def _picked(self, layer: LayerRef, x: torch.Tensor) -> torch.Tensor | None:
        """Positions of the drawn values in x.flatten(), or None where all are counted."""
        size = x[0].numel()
        if self._per_sample is None or self._per_sample >= size:
            return None
        key = (layer.name, x.shape[0], size)
        if key not in self._positions:
            draws = self._draw(layer.name, size)
            rows = np.arange(x.shape[0])
            samples = self._first + rows % self._size  # guidance stacks the batch twice
            positions = rows[:, None] * size + draws[samples]
            self._positions[key] = torch.from_numpy(positions.reshape(-1)).to(x.device)
        return self._positions[key]

    def _draw(self, name: str, size: int) -> Array:
        assert self._per_sample is not None
        key = (name, size, self._per_sample)
        if key not in self._draws:
            random = np.random.default_rng([self._seed, zlib.crc32(name.encode()), size])
            shape = (self._samples, self._per_sample)
            self._draws[key] = random.integers(0, size, shape, dtype=np.int32)
        return self._draws[key]


def finished(
    recorder: Recorder, layers: Sequence[LayerRef]
) -> tuple[list[LayerRef], list[LayerStats], list[str]]:
    """Layers with statistics at every timestep, these statistics, and names without any."""
    kept, stats, absent = [], [], []
    for layer in layers:
        record = recorder.columns.get(layer.name)
        if record is None or not record.count.all():
            absent.append(layer.name)
        else:
            kept.append(layer)
            stats.append(record.stats())
    return kept, stats, absent
