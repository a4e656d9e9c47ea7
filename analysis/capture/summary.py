"""Exact extremes and moments of one tensor, and some of its values, channel by channel.

On a CPU one compiled pass finds all four columns; elsewhere torch's reductions do, and nothing
waits for the device until a whole forward pass is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analysis.capture.native import Drawn, kernel, moments
from analysis.records import Array

FAR = 30.0  # a mean this many standard deviations off zero is worth a center of its own


@dataclass(frozen=True)
class Arranged:
    """A tensor seen as [N, C, M] (planes) or [N, M, C] (rows), whichever its memory already is."""

    x: torch.Tensor
    planes: bool

    @classmethod
    def of(cls, x: torch.Tensor, channels_last: bool) -> Arranged:
        """See x, [N, C, ...] or with `channels_last` [N, ..., C], without copying if possible."""
        x = x.detach() if x.dtype is torch.float32 else x.detach().float()
        samples, channels = x.shape[0], x.shape[-1 if channels_last else 1]
        if channels_last and x.ndim == 3 and not x.is_contiguous():
            x, channels_last = x.transpose(1, 2), False  # [N, C, L]
        elif not channels_last and x.ndim == 4 and not x.is_contiguous():
            x, channels_last = x.permute(0, 2, 3, 1), True  # [N, H, W, C]
        shape = (samples, -1, channels) if channels_last else (samples, channels, -1)
        return cls(x.reshape(shape).contiguous(), planes=not channels_last)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, C, M), however the memory lies."""
        samples, a, b = self.x.shape
        return (samples, a, b) if self.planes else (samples, b, a)

    def size(self, part: slice | None) -> int:
        """Values a sample in the channels of `part`."""
        first, last, _ = (part or slice(None)).indices(self.shape[1])
        return self.shape[2] * (last - first)

    def drawn(self, draws: Array, part: slice | None) -> Array:
        """Positions in x.flatten() for draws [N, n] from each sample's channels in `part`."""
        samples, channels, size = self.shape
        first, last, _ = (part or slice(None)).indices(channels)
        if self.planes:
            inside = draws + first * size
        else:
            row, channel = np.divmod(draws, last - first)
            inside = row * channels + channel + first
        return (np.arange(samples)[:, None] * channels * size + inside).reshape(-1)

    def values(self, part: slice | None, drawn: Array | None) -> torch.Tensor | Drawn:
        """Values at the given positions of x.flatten(), or all in the channels of `part`."""
        if drawn is not None:
            library = None if self.x.is_cuda else kernel()
            if library is not None:
                return Drawn(library, self.x, drawn)
            positions = torch.from_numpy(drawn).to(self.x.device)
            return self.x.view(-1).index_select(0, positions)
        if part is None:
            return self.x.view(-1)
        return (self.x[:, part] if self.planes else self.x[:, :, part]).reshape(-1)


@dataclass(frozen=True)
class Summary:
    """What is kept of one tensor. Sums are about a `center`, so a far mean costs no precision."""

    per_channel: int  # values in each channel
    extremes: torch.Tensor | Array  # [2, C] least, greatest
    sums: torch.Tensor | Array  # float64 [2, C] sum, sum of squares
    center: float

    @classmethod
    def of(cls, arranged: Arranged, center: float = 0.0) -> Summary:
        """Summarize a tensor on its device."""
        samples, _, size = arranged.shape
        library = None if arranged.x.is_cuda else kernel()
        if library is not None:
            address = arranged.x.data_ptr()
            found = moments(library, address, arranged.shape, arranged.planes, center)
            return cls(samples * size, *found, center)
        x, axis = arranged.x, 2 if arranged.planes else 1
        moved = x - center if center else x
        extremes = torch.stack([x.amin(axis).amin(0), x.amax(axis).amax(0)])
        parts = torch.stack([moved.sum(axis), (moved * moved).sum(axis)])  # [2, N, C]
        return cls(samples * size, extremes, parts.sum(1, dtype=torch.float64), center)

    def part(self, channels: slice | None) -> Summary:
        """The same of some of the channels; `None` for all."""
        if channels is None:
            return self
        chosen = self.extremes[:, channels], self.sums[:, channels]
        return Summary(self.per_channel, *chosen, self.center)


class HostSummary:
    """One tensor's summary on the host, its channels made one.

    Attributes: count; mean; m2, the sum of squared deviations from it; low and high [C]; least
    and greatest; values, those that enter the histogram, [n] or still where they lie.
    """

    def __init__(
        self, summary: Summary, extremes: Array, sums: Array, values: Array | Drawn
    ) -> None:
        self.count = summary.per_channel * extremes.shape[1]
        total, power = sums.sum(axis=1).tolist()
        offset = total / self.count
        self.mean = summary.center + offset
        left = power - self.count * offset**2
        self.m2 = max(0.0, left) if math.isfinite(power) else math.nan
        self.low, self.high = extremes
        self.least, self.greatest = float(self.low.min()), float(self.high.max())
        self.values = values

    @property
    def finite(self) -> bool:
        return math.isfinite(self.m2)  # any NaN or infinity reaches it

    @property
    def far_off(self) -> bool:
        """Whether sums about zero lose digits of the variance."""
        return self.mean**2 * self.count > FAR**2 * self.m2


Observed = tuple[Summary, torch.Tensor | Drawn]


def to_host(observed: Sequence[Observed]) -> list[HostSummary]:
    """Wait for the device once, for all tensors together."""
    extremes = _fetch([summary.extremes for summary, _ in observed])
    sums = _fetch([summary.sums for summary, _ in observed])
    values = _fetch([values for _, values in observed])
    summaries = [summary for summary, _ in observed]
    return [HostSummary(*row) for row in zip(summaries, extremes, sums, values, strict=True)]


def _fetch(parts: Sequence[Any]) -> list[Any]:
    """Tensors on the host, in one transfer if they are on a device; the rest as it is."""
    if not parts or not (isinstance(parts[0], torch.Tensor) and parts[0].is_cuda):
        return [part.numpy() if isinstance(part, torch.Tensor) else part for part in parts]
    joined = torch.cat([part.reshape(-1) for part in parts]).cpu().numpy()
    ends = np.cumsum([part.numel() for part in parts])
    split = np.split(joined, ends[:-1])
    return [flat.reshape(part.shape) for flat, part in zip(split, parts, strict=True)]
