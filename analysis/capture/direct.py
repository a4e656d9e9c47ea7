"""Tensors in this machine's memory, each taken into a layer's columns by one compiled call."""

from __future__ import annotations

import ctypes

import numpy as np
import torch

from analysis.capture.columns import LayerColumns
from analysis.capture.native import (
    BROKEN,
    OUTSIDE,
    TABLES,
    CMoments,
    CTeam,
    CView,
    crew,
    kernel,
)
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
        self.observe, self.count = library.observe, library.count
        parallel, number, threads = crew()
        self._tables = np.zeros((threads, TABLES, bins), dtype=np.uint32)
        self._parts: tuple[Array, ...] = ()
        self._team = CTeam(
            parallel=parallel, number=number, threads=threads, tables=self._tables.ctypes.data
        )
        self.team = ctypes.addressof(self._team)
        self._room = 0
        self._picked = np.empty(0, dtype=np.float32)

    def make_room(self, parts: int, drawn: int) -> None:
        """For extremes and sums of so many channels of single samples, and for drawn values."""
        if drawn > self._picked.size:
            self._picked = np.empty(drawn, dtype=np.float32)
            self._team.picked = self._picked.ctypes.data
        if parts <= self._room:
            return
        self._room = parts
        self._parts = tuple(np.empty(parts, dtype=kind) for kind in ("f4", "f4", "f8", "f8"))
        for name, part in zip(("low", "high", "sum", "square"), self._parts, strict=True):
            setattr(self._team, name, part.ctypes.data)

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
        self._place, self._columns, self._positions = place, columns, positions
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
        place.make_room(samples * channels, 0 if positions is None else positions.size)

    def take(self, x: torch.Tensor, known: Moments | None, step: int) -> bool:
        """Take in a tensor, unless it holds NaN or infinity; `known` are moments of the same."""
        if self._copied:
            x = Arranged(x, self._channels_last).x
        place, address = self._place, x.data_ptr()
        found = None if known is None else known.address
        answer = place.observe(self._address, found, address, step, place.team)
        if answer == OUTSIDE:
            told = self._columns.native
            self._columns.cover(told.least, told.greatest)
            place.count(self._address, address, step, place.team)
        return answer != BROKEN
