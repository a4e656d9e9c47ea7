"""Turns observed tensors into per-layer, per-timestep statistics, with bounded memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch

from analysis.capture.columns import LayerColumns, to_host
from analysis.capture.summary import Arranged, Summary
from analysis.errors import UserError
from analysis.records import Array, LayerRef, LayerStats

SMALL = 2**17  # values; the calls for a smaller tensor cost more than the passes over it


@dataclass
class _Seen:
    """A tensor as it was when it was shown, and what is known of it so far."""

    x: torch.Tensor
    version: int
    arranged: Arranged
    summary: Summary | None = None

    @property
    def untouched(self) -> bool:
        return self.x._version == self.version


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
        self._pending: dict[tuple[str, ...], Summary] = {}
        self._waiting: dict[str, _Seen] = {}
        self._fresh: dict[str, _Seen] = {}
        self._steady: set[str] = set()
        self._previous: _Seen | None = None
        self._centers: dict[str, float] = {}
        self._draws: dict[tuple[str, int, int], Array] = {}
        self._positions: dict[tuple[str, int, int], torch.Tensor] = {}

    def begin_batch(self, first: int, size: int) -> None:
        """Samples `first` .. `first + size` come next."""
        self._first, self._size = first, size
        self._positions.clear()

    def begin_pass(self, timestep: float) -> None:
        """The denoiser is called for this timestep."""
        self._step = int(np.argmin(np.abs(self.timesteps - timestep)))

    def observe(self, layer: LayerRef, x: torch.Tensor, part: slice | None = None) -> None:
        """Take in one tensor [N, C, ...], or some of its channels.

        Layers that share a tensor share the passes over it; small tensors wait for the end of
        the forward pass and are then summarized together.
        """
        if self._previous is None or self._previous.x is not x:
            channels_last = layer.kind == "linear" or layer.tap in ("q", "k", "v")
            self._previous = _Seen(x, x._version, Arranged.of(x, channels_last))
        seen = self._previous
        if part is None and x.numel() <= SMALL and layer.name in self._steady:
            self._waiting[layer.name] = seen
            return
        if seen.summary is None:
            seen.summary = Summary.of([seen.arranged], self._centers.get(layer.module, 0.0))
        values = seen.arranged.values(part, self._drawn(layer.name, seen.arranged, part))
        self._add([layer.name], seen.summary.part(part).with_values([values]))
        if self._per_sample is None:
            self._drain()  # all values of all layers at once would not fit
        elif x.numel() <= SMALL:
            self._fresh[layer.name] = seen

    def flush(self) -> None:
        """Bring what was observed to the host, in one go, and merge it."""
        self._previous = None
        for names, group in self._groups():
            center = self._centers.get(names[0].split("#")[0], 0.0)
            drawn = [self._drawn(n, a, None) for n, a in zip(names, group, strict=True)]
            values = [a.values(None, p) for a, p in zip(group, drawn, strict=True)]
            self._add(names, Summary.of(group, center).with_values(values))
        self._drain()
        # A tensor may wait only if nothing writes into it before the pass is over.
        self._steady |= {name for name, seen in self._fresh.items() if seen.untouched}
        self._fresh = {}

    def _groups(self) -> Iterator[tuple[list[str], list[Arranged]]]:
        """Waiting tensors of one shape and center together."""
        waiting, self._waiting = self._waiting, {}
        groups: dict[tuple[object, ...], list[str]] = {}
        for name, seen in waiting.items():
            if not seen.untouched:
                raise RuntimeError(f"{name} was written to while it waited to be summarized")
            arranged = seen.arranged
            own = self._centers.get(name.split("#")[0], 0.0)
            key = (arranged.x.shape, arranged.planes, arranged.samples, own)
            groups.setdefault(key, []).append(name)
        for names in groups.values():
            yield names, [waiting[name].arranged for name in names]

    def _add(self, names: list[str], summary: Summary) -> None:
        key = tuple(names)
        earlier = self._pending.get(key)
        self._pending[key] = earlier.merge(summary) if earlier else summary

    def _drawn(self, name: str, arranged: Arranged, part: slice | None) -> torch.Tensor | None:
        """Positions in the flattened tensor that enter the histogram; `None` for all."""
        size = arranged.size(part)
        if self._per_sample is None or self._per_sample >= size:
            return None
        key = (name, arranged.samples, size)
        if key not in self._positions:
            # Guidance stacks the batch twice.
            samples = self._first + np.arange(arranged.samples) % self._size
            positions = arranged.drawn(self._draw(name, size)[samples].astype(np.int64), part)
            self._positions[key] = torch.from_numpy(positions).to(arranged.x.device)
        return self._positions[key]

    def _drain(self) -> None:
        pending, self._pending = self._pending, {}
        if not pending:
            return
        names = [name for group in pending for name in group]
        for name, row in zip(names, to_host(list(pending.values())), strict=True):
            if not row.finite:
                self._complain(name)
            if name not in self.columns:
                self.columns[name] = LayerColumns(len(self.timesteps), self._bins, row.low.size)
            self.columns[name].add(self._step, row)
            if row.far_off:
                self._centers[name.split("#")[0]] = row.mean

    def _complain(self, name: str) -> NoReturn:
        raise UserError(
            f"The activations of {name} are not finite at timestep "
            f"{self.timesteps[self._step]:g}; use more bits or fewer quantized layers, or "
            "check the model's weights."
        )

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
