"""Turns observed tensors into per-layer, per-timestep statistics, with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn
from weakref import ref

import numpy as np
import torch

from analysis.capture.bins import FEWEST
from analysis.capture.columns import LayerColumns
from analysis.capture.direct import Moments, ScoresSight, Sight, Workplace, as_stored
from analysis.capture.softmax import Scores
from analysis.capture.summary import Arranged, HostSummary, Observed, Summary, to_host
from analysis.capture.trace import Part, Seers
from analysis.errors import UserError, check_whole
from analysis.records import Array, LayerRef, LayerStats

OWN = ("q", "k", "v", "softmax")  # taps whose tensors no other layer is given
Found = Summary | Moments  # what one tensor holds; a run finds all of a kind


class Recorder:
    """Observer of a whole run: give it batches, timesteps and tensors, then ask for statistics.

    The values of a histogram are drawn with replacement, `drawn / samples` a sample, whatever the
    batch size, and from tensors of one size at the same places. A sample that has no more values
    than that is counted in full.
    """

    def __init__(
        self, timesteps: Array, samples: int, seed: int, bins: int, drawn: int | None
    ) -> None:
        check_whole("bins", bins, FEWEST)
        self.timesteps = np.asarray(timesteps)
        self.columns: dict[str, LayerColumns] = {}
        self._samples, self._seed, self._bins = samples, seed, bins
        self._per_sample = None if drawn is None else max(1, -(-drawn // samples))
        self._step = 0
        self._first, self._size = 0, 1
        self._pending: list[tuple[str, Observed]] = []
        self._passes = 0  # of this batch
        self._shared: tuple[str, ref[torch.Tensor], int, Found] | None = None
        self._sharing: set[str] = set()  # layers whose tensor is shown to others after them
        self._centers: dict[str, float] = {}
        self._draws: dict[int, Array] = {}  # by values in a sample
        self._positions: dict[tuple[Any, ...], Array] = {}  # by how tensors lie in memory
        self._indices: dict[tuple[Any, ...], torch.Tensor] = {}
        self._place = Workplace.made(bins)
        self._moments: dict[str, Moments] = {}
        self._sights: dict[tuple[Any, ...], Sight] = {}  # by name, shape, strides and type
        self._scores: dict[tuple[Any, ...], ScoresSight] = {}  # by name, shape and strides

    def begin_batch(self, first: int, size: int) -> None:
        """Samples `first` .. `first + size` come next."""
        self._first, self._size, self._passes = first, size, 0
        self._positions.clear()
        self._indices.clear()
        self._sights.clear()
        self._scores.clear()

    def begin_pass(self, timestep: float) -> None:
        """The denoiser is called for this timestep."""
        self._step = int(np.argmin(np.abs(self.timesteps - timestep)))
        self._passes += 1

    def observe(self, seers: Seers, x: torch.Tensor | Scores) -> None:
        """Take in one tensor [N, C, ...] for the layers that see it, some of its channels or all.

        A layer always sees the same part. Layers that share a tensor share the pass over it.
        """
        layer, name = seers[0][0], seers[0][0].name
        if isinstance(x, Scores):
            if self._take_scores(name, x):
                return
            x = x.tensor()
        known: Any = None if self._shared is None else self._known(x)
        found: Found
        sight = self._sights.get((name, x.shape, x.stride(), x.dtype))
        if sight is None and (self._place is None or not x.is_cpu):
            found = self._reduce(seers, x, known)
        else:
            sight = sight or self._sight(seers, x)
            broken = sight.take(x, known, self._step)
            if broken:
                self._complain(seers[broken - 1][0].name)
            found = known or sight.moments
        if name in self._sharing or (self._passes < 2 and layer.tap not in OWN):
            self._share(name, x, found)

    def _known(self, x: torch.Tensor) -> Found | None:
        """What another layer has found in this tensor, if nobody has written to it since."""
        assert self._shared is not None
        name, tensor, version, found = self._shared
        if tensor() is not x or x._version != version:
            return None
        self._sharing.add(name)
        return found

    def _share(self, name: str, x: torch.Tensor, found: Found) -> None:
        """Keep what a layer has found for the next; the first pass tells whose they need."""
        if not x.is_inference():  # such tensors do not tell whether they were written to
            # Weak: the model writes its next activation where it has just freed one.
            self._shared = (name, ref(x), x._version, found)

    def flush(self) -> None:
        """Bring what was observed to the host, in one go, and merge it."""
        self._shared = None
        self._drain()

    def _sight(self, seers: Seers, x: torch.Tensor) -> Sight:
        """For tensors like this one, to the end of the batch."""
        arranged = Arranged.of(seers[0][0], x)
        sights = [self._sight_of(layer.name, arranged, part) for layer, part in seers]
        for one, next_one in pairwise(sights):
            one.followed_by(next_one)
        self._sights[seers[0][0].name, x.shape, x.stride(), x.dtype] = sights[0]
        return sights[0]

    def _sight_of(self, name: str, arranged: Arranged, part: Part) -> Sight:
        assert self._place is not None
        columns = self._columns_of(name, arranged.width(part))
        drawn, moments = self._drawn(arranged, part), self._moments_of(name, arranged.shape[1])
        return Sight(self._place, arranged, part, drawn, columns, moments)

    def _take_scores(self, name: str, scores: Scores) -> bool:
        """The same of probabilities; `False` where they have to be stored first."""
        if self._place is None or not scores.small:
            return False
        key = (name, scores.shape, scores.q.stride(), scores.k.stride())
        sight = self._scores.get(key)
        if sight is None:
            heads = scores.shape[1]
            drawn = self._drawn(as_stored(scores), None)
            if drawn is None:
                return False
            told = self._columns_of(name, heads), self._moments_of(name, heads)
            sight = self._scores[key] = ScoresSight(self._place, scores, drawn, *told)
        if sight.take_scores(scores, self._step):
            self._complain(name)
        return True

    def _moments_of(self, name: str, channels: int) -> Moments:
        center = _center_key(name)
        if center not in self._moments:
            self._moments[center] = Moments(channels)
        return self._moments[center]

    def _reduce(self, seers: Seers, x: torch.Tensor, known: Summary | None) -> Summary:
        """By torch's reductions, on the tensor's device."""
        arranged = Arranged.of(seers[0][0], x)
        summary = known or self._centered(_center_key(seers[0][0].name), arranged)
        for layer, part in seers:
            values = arranged.values(part, self._index(arranged, part))
            self._pending.append((layer.name, (summary.part(part), values)))
        if self._per_sample is None or x.is_cpu:
            self._drain()  # nothing to wait for, or too much to hold
        return summary

    def _centered(self, key: str, arranged: Arranged) -> Summary:
        """A summary about the layer's center; the first tensors of a layer decide on it."""
        if key in self._centers:
            return Summary.of(arranged, self._centers[key])
        return Summary.first(arranged)

    def _index(self, arranged: Arranged, part: Part) -> torch.Tensor | None:
        """The same positions on the tensor's device, brought there once a batch."""
        positions = self._drawn(arranged, part)
        if positions is None:
            return None
        key = arranged.places(part)
        if key not in self._indices:
            index = torch.from_numpy(positions.astype(np.int64))
            self._indices[key] = index.to(arranged.x.device)
        return self._indices[key]

    def _drawn(self, arranged: Arranged, part: Part) -> Array | None:
        """Positions [N, n] in each sample that enter the histogram; `None` for all."""
        size = arranged.size(part)
        if self._per_sample is None or self._per_sample >= size:
            return None
        key = arranged.places(part)
        if key not in self._positions:
            # Guidance stacks the batch twice.
            rows = self._first + np.arange(arranged.shape[0]) % self._size
            positions = arranged.positions(self._draw(size)[rows], part)
            positions.sort(axis=1)  # in the order of memory
            self._positions[key] = positions.astype(np.int32)
        return self._positions[key]

    def _drain(self) -> None:
        pending, self._pending = self._pending, []
        rows = to_host([observed for _, observed in pending])
        for (name, _), row in zip(pending, rows, strict=True):
            self._merge(name, row)

    def _merge(self, name: str, row: HostSummary) -> None:
        if not row.finite:
            self._complain(name)
        self._columns_of(name, row.low.size).add(self._step, row)
        key = _center_key(name)
        self._centers[key] = row.mean if row.far_off else self._centers.get(key, row.center)

    def _columns_of(self, name: str, channels: int) -> LayerColumns:
        if name not in self.columns:
            self.columns[name] = LayerColumns(len(self.timesteps), self._bins, channels)
        return self.columns[name]

    def _complain(self, name: str) -> NoReturn:
        raise UserError(
            f"The activations of {name} are not finite at timestep "
            f"{self.timesteps[self._step]:g}; use more bits or fewer quantized layers, or "
            "check the model's weights."
        )

    def _draw(self, size: int) -> Array:
        assert self._per_sample is not None
        if size not in self._draws:
            random = np.random.default_rng([self._seed, size])
            shape = (self._samples, self._per_sample)
            self._draws[size] = random.integers(0, size, shape, dtype=np.int32)
        return self._draws[size]


def _center_key(name: str) -> str:
    """Halves of a concatenation are summed with the whole, all else by itself."""
    module, _, tap = name.partition("#")
    return module if tap in ("h", "skip") else name


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
