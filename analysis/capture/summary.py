"""Few passes over one tensor on its own device: exact extremes and moments, some drawn values."""

from __future__ import annotations

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

    def flat(self, part: slice | None) -> torch.Tensor:
        """All values of the channels in `part`."""
        return (self.x if part is None else self.x[:, part]).reshape(-1)


@dataclass(frozen=True)
class Summary:
    """What is kept of one tensor, by channel and still on the device; nothing waits for it.

    Sums are taken about a `center`, so that a mean far from zero costs no precision.
    """

    per_channel: int  # values in each channel
    low: torch.Tensor  # [C]
    high: torch.Tensor  # [C]
    total: torch.Tensor  # [C] sum of (x - center)
    norms: torch.Tensor  # [R, C] root of the sum of (x - center)^2 over a part of the values
    center: float
    values: torch.Tensor  # [n] what enters the histogram

    @classmethod
    def of(cls, arranged: Arranged, center: float = 0.0) -> Summary:
        """Summarize a tensor; the values that enter the histogram come later."""
        x, moved = arranged.x, arranged.x - center if center else arranged.x
        none = x.new_empty(0)
        if arranged.planes:
            low, high, total = x.amin((0, 2)), x.amax((0, 2)), moved.sum((0, 2))
            norms = torch.linalg.vector_norm(moved, dim=2)  # [N, C]
        else:
            low, high, total = x.amin(0), x.amax(0), moved.sum(0)
            norms = (moved * moved).sum(0, keepdim=True).sqrt_()  # [1, C]
        return cls(x.numel() // low.numel(), low, high, total, norms, center, none)

    def part(self, channels: slice | None) -> Summary:
        """The same for some of the channels; `None` for all."""
        if channels is None:
            return self
        return replace(
            self,
            low=self.low[channels],
            high=self.high[channels],
            total=self.total[channels],
            norms=self.norms[:, channels],
        )

    def with_values(self, values: torch.Tensor) -> Summary:
        """The same with the values that enter the histogram."""
        return replace(self, values=values)

    def merge(self, other: Summary) -> Summary:
        """Both tensors as one; they must have the same channels and center."""
        return Summary(
            self.per_channel + other.per_channel,
            torch.minimum(self.low, other.low),
            torch.maximum(self.high, other.high),
            self.total + other.total,
            torch.cat([self.norms, other.norms]),
            self.center,
            torch.cat([self.values, other.values]),
        )
