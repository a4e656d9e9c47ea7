"""Few passes over tensors on their own device: exact extremes and moments, some drawn values.

Tensors of one shape are summarized together, since for small ones the calls cost more than the
numbers. `G` counts the tensors of a group, 1 for a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from analysis.records import Array


@dataclass(frozen=True)
class Arranged:
    """A tensor seen as planes [N, C, M] or rows [N * M, C], whichever its memory already is."""

    x: torch.Tensor
    samples: int  # N
    planes: bool

    @classmethod
    def of(cls, x: torch.Tensor, channels_last: bool) -> Arranged:
        """See x, [N, C, ...] or with `channels_last` [N, ..., C], without copying if possible."""
        x = x if x.dtype is torch.float32 else x.float()
        samples, channels = x.shape[0], x.shape[-1 if channels_last else 1]
        if channels_last and x.ndim == 3 and not x.is_contiguous():
            x, channels_last = x.transpose(1, 2), False  # [N, C, L]
        elif not channels_last and x.ndim == 4 and not x.is_contiguous():
            x, channels_last = x.permute(0, 2, 3, 1), True  # [N, H, W, C]
        if channels_last:
            return cls(x.reshape(-1, channels), samples, planes=False)
        return cls(x.reshape(samples, channels, -1), samples, planes=True)

    @property
    def channels(self) -> int:
        return self.x.shape[1]

    def size(self, part: slice | None) -> int:
        """Values a sample in the channels of `part`."""
        first, last, _ = (part or slice(None)).indices(self.channels)
        return self.x.numel() // self.samples // self.channels * (last - first)

    def drawn(self, draws: Array, part: slice | None) -> Array:
        """Positions in x.flatten() for draws [N, n] from each sample's channels in `part`."""
        first, last, _ = (part or slice(None)).indices(self.channels)
        size = self.x.numel() // self.samples
        if self.planes:
            inside = draws + first * (size // self.channels)
        else:
            row, channel = np.divmod(draws, last - first)
            inside = row * self.channels + channel + first
        return (np.arange(self.samples)[:, None] * size + inside).reshape(-1)

    def values(self, part: slice | None, positions: torch.Tensor | None) -> torch.Tensor:
        """Values at the given positions of x.flatten(), or all in the channels of `part`."""
        if positions is not None:
            return self.x.reshape(-1).index_select(0, positions)
        return (self.x if part is None else self.x[:, part]).reshape(-1)


@dataclass(frozen=True)
class Summary:
    """What is kept of a group of tensors, by channel and on the device; nothing waits for it.

    Sums are taken about a `center`, so that a mean far from zero costs no precision.
    """

    per_channel: int  # values in each channel
    low: torch.Tensor  # [G, C]
    high: torch.Tensor  # [G, C]
    total: torch.Tensor  # [G, C] sum of (x - center)
    norms: torch.Tensor  # [G, R, C] root of the sum of (x - center)^2 over a part of the values
    center: float
    values: tuple[torch.Tensor, ...] = ()  # G of [n]: what enters the histograms

    @classmethod
    def of(cls, group: Sequence[Arranged], center: float = 0.0) -> Summary:
        """Summarize tensors of one shape; the values that enter the histograms come later."""
        first = group[0]
        x = first.x.unsqueeze(0) if len(group) == 1 else torch.stack([a.x for a in group])
        moved = x - center if center else x
        if first.planes:  # [G, N, C, M]
            # Over the samples first: whole rows at a time, a third faster than both at once.
            low, high = x.amin(1).amin(2), x.amax(1).amax(2)  # [G, C]
            total = moved.sum(1).sum(2)
            norms = torch.linalg.vector_norm(moved, dim=3)  # [G, N, C]
        else:  # [G, R, C]
            low, high, total = x.amin(1), x.amax(1), moved.sum(1)
            norms = (moved * moved).sum(1, keepdim=True).sqrt_()  # [G, 1, C]
        return cls(first.x.numel() // first.channels, low, high, total, norms, center)

    def part(self, channels: slice | None) -> Summary:
        """The same for some of the channels; `None` for all."""
        if channels is None:
            return self
        return replace(
            self,
            low=self.low[:, channels],
            high=self.high[:, channels],
            total=self.total[:, channels],
            norms=self.norms[:, :, channels],
        )

    def with_values(self, values: Sequence[torch.Tensor]) -> Summary:
        """The same with the values that enter the histograms, one tensor a member."""
        return replace(self, values=tuple(values))

    def merge(self, other: Summary) -> Summary:
        """Both groups member by member; they must have the same channels and center."""
        return Summary(
            self.per_channel + other.per_channel,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            self.total + other.total,
            torch.cat([self.norms, other.norms], dim=1),
            self.center,
            tuple(torch.cat(pair) for pair in zip(self.values, other.values, strict=True)),
        )
