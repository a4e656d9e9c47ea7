"""Tensors in this machine's memory, each taken into a layer's columns by one compiled call."""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from analysis.capture.columns import LayerColumns
from analysis.capture.native import (
    TABLES,
    CMoments,
    CTeam,
    CView,
    crew,
    kernel,
)
from analysis.capture.softmax import Scores
from analysis.capture.summary import FAR, Arranged
from analysis.records import Array


class Moments:
    """Extremes and sums of every channel [C] of the tensor last seen, for whom shares it."""

    def __init__(self, channels: int) -> None:
        self._extremes = np.empty((2, channels), dtype=np.float32)
        self._sums = np.empty((2, channels), dtype=np.float64)
        low, total = self._extremes.ctypes.data, self._sums.ctypes.data
        self.native = CMoments(
            low=low, high=low + 4 * channels, sum=total, square=total + 8 * channels, far=FAR
        )
        self.address = ctypes.addressof(self.native)


class Workplace:
    """What all layers of a recorder use in turn: the kernels, the threads and their counts."""

    def __init__(self, library: ctypes.CDLL, bins: int) -> None:
        self.observe, self.room_of = library.observe, library.room_of
        parallel, number, threads = crew()
        self._tables = np.zeros((threads, TABLES, bins), dtype=np.uint32)
        self._team = CTeam(
            parallel=parallel, number=number, threads=threads, tables=self._tables.ctypes.data
        )
        self.team = ctypes.addressof(self._team)
        self._room: dict[str, Array] = {}

    def make_room(self, samples: int, channels: int, drawn: int, scores: int = 0) -> None:
        """For extremes and sums of channels, for drawn values, and for one thread's scores."""
        team, threads = self._team, self._team.threads
        team.span = max(team.span, scores, 4 * channels)  # two doubles a channel
        wanted = {
            "low": threads * channels,
            "high": threads * channels,
            "sum": samples * channels,
            "square": samples * channels,
            "picked": drawn,
            "room": threads * team.span,
        }
        for name, size in wanted.items():
            if name not in self._room or size > self._room[name].size:
                self._room[name] = np.empty(size, dtype=np.float32)
                setattr(team, name, self._room[name].ctypes.data)

    @classmethod
    def made(cls, bins: int) -> Workplace | None:
        """`None` where the kernels cannot be had."""
        library = kernel()
        return None if library is None else cls(library, bins)


class Sight:
    """How a layer sees tensors alike in memory: the values it means, and where they go."""

    def __init__(
        self,
        place: Workplace,
        arranged: Arranged,
        part: slice | None,
        positions: Array | None,
        columns: LayerColumns,
        moments: Moments,
    ) -> None:
        """Count the values at positions, int32 [N, n] in each sample; `None` for all."""
        samples, channels, size = arranged.shape
        first, last, _ = (part or slice(None)).indices(channels)
        self._place, self._columns, self._positions = place, columns, positions  # kept alive
        self._copied, self._channels_last = arranged.copied, arranged.channels_last
        self.moments = moments
        self._view = CView(
            samples=samples,
            channels=channels,
            size=size,
            planes=arranged.planes,
            first=first,
            last=last,
            drawn=0 if positions is None else positions.shape[1],
            positions=None if positions is None else positions.ctypes.data,
            columns=ctypes.addressof(columns.native),
            moments=moments.address,
        )
        self._address = ctypes.addressof(self._view)
        self._next: Sight | None = None
        place.make_room(samples, channels, 0 if positions is None else positions.size)

    def followed_by(self, other: Sight) -> None:
        """Let another see the same tensors, right after this one."""
        self._next, self._view.next = other, other._address

    def take(self, x: torch.Tensor, known: Moments | None, step: int) -> int:
        """Take in a tensor, for all that see it; `known` are moments of the same.

        Returns the place, from 1, of the first that sees NaN or infinity; 0 if there is none.
        """
        if self._copied:
            x = Arranged(x, self._channels_last).x
        place, address = self._place, x.data_ptr()
        found = None if known is None else known.address
        broken: int = place.observe(self._address, found, address, step, place.team)
        return broken


class ScoresSight(Sight):
    """The same of attention probabilities, drawn from without being stored."""

    def __init__(
        self,
        place: Workplace,
        scores: Scores,
        positions: Array,
        columns: LayerColumns,
        moments: Moments,
    ) -> None:
        super().__init__(place, as_stored(scores), None, positions, columns, moments)
        self._attention = scores.native()
        address = self._view.attention = ctypes.addressof(self._attention)
        samples, heads, _, _ = scores.shape
        place.make_room(samples, heads, positions.size, place.room_of(address))

    def take_scores(self, scores: Scores, step: int) -> int:
        """Take them in; 0 unless one is NaN or infinity."""
        self._attention.q, self._attention.k = scores.q.data_ptr(), scores.k.data_ptr()
        place = self._place
        broken: int = place.observe(self._address, None, None, step, place.team)
        return broken


def as_stored(scores: Scores) -> Arranged:
    """How probabilities would lie in memory."""
    return Arranged(torch.empty(scores.shape, device="meta"), channels_last=False)
