"""Exact extremes and moments of one tensor, and some of its values, channel by channel.

By torch's reductions, where `direct.py` cannot serve. Nothing waits for the device until a whole
forward pass is over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from analysis.records import Array, LayerRef

FAR = 30.0  # a mean this many standard deviations off zero is worth a center of its own

_PLAIN = torch.contiguous_format
_ROWS = {4: torch.channels_last, 5: torch.channels_last_3d}  # by dimensions


class Arranged:
    """A tensor seen as [N, C, M] (planes) or [N, M, C] (rows), whichever its memory already is.

    Attributes: x, without a gap in memory; whether it was copied for that; planes; shape,
    (N, C, M) however the memory lies.
    """

    def __init__(self, x: torch.Tensor, channels_last: bool) -> None:
        """See x, [N, C, ...] or with `channels_last` [N, ..., C], without copying if possible."""
        given = x
        if x.dtype is not torch.float32:
            x = x.float()
        shape = x.shape
        samples, channels = shape[0], shape[-1 if channels_last else 1]
        size = math.prod(shape[1:]) // channels
        self.channels_last = channels_last  # in the tensor's own order, not in memory
        self.shape: tuple[int, int, int] = (samples, channels, size)
        self.planes = not channels_last
        if not x.is_contiguous():
            if not channels_last and x.is_contiguous(memory_format=_ROWS.get(len(shape), _PLAIN)):
                self.planes = False
            elif channels_last and x.stride() == (channels * size, 1, size):
                self.planes = True
            else:
                x = x.contiguous()
        self.x = x
        self.copied = x is not given

    @classmethod
    def of(cls, layer: LayerRef, x: torch.Tensor) -> Arranged:
        """As the layer orders its tensors."""
        return cls(x, layer.kind == "linear" or layer.tap in ("q", "k", "v"))

    @cached_property
    def flat(self) -> torch.Tensor:
        """x in the order of its memory, [N, C * M]."""
        x = self.x.detach()
        if self.planes and self.channels_last:
            x = x.movedim(-1, 1)  # [N, C, ...]
        elif not self.planes and not self.channels_last:
            x = x.movedim(1, -1)  # [N, ..., C]
        return x.reshape(self.shape[0], -1)

    def view(self) -> torch.Tensor:
        """x as [N, C, M] or [N, M, C]."""
        _, channels, size = self.shape
        return self.flat.unflatten(1, (channels, size) if self.planes else (size, channels))

    def width(self, part: slice | None) -> int:
        """Channels in `part`."""
        return self.shape[1] if part is None else len(range(*part.indices(self.shape[1])))

    def size(self, part: slice | None) -> int:
        """Values a sample in the channels of `part`."""
        return self.shape[2] * self.width(part)

    def places(self, part: slice | None) -> tuple[Any, ...]:
        """The same for tensors whose draws from `part` lie at the same positions in memory."""
        meant = (part or slice(None)).indices(self.shape[1])
        return (self.shape, self.planes, self.channels_last, self.x.device, meant)

    def positions(self, draws: Array, part: slice | None) -> Array:
        """Positions in each flattened sample of x for draws [N, n] from the channels in `part`."""
        _, channels, size = self.shape
        if part is None and self.planes != self.channels_last:
            return draws  # in memory they lie as the tensor counts them
        if self.channels_last:
            row, channel = np.divmod(draws, self.width(part))
        else:
            channel, row = np.divmod(draws, size)
        channel = channel + (part or slice(None)).indices(channels)[0]
        return channel * size + row if self.planes else row * channels + channel

    def values(self, part: slice | None, index: torch.Tensor | None) -> torch.Tensor:
        """Values at positions [N, n] in each sample, or all in the channels of `part`."""
        if index is not None:
            return self.flat.gather(1, index).view(-1)
        if part is None:
            return self.flat.view(-1)
        view = self.view()
        return (view[:, part] if self.planes else view[:, :, part]).reshape(-1)


@dataclass(frozen=True)
class Summary:
    """What is kept of one tensor. Sums are about a `center`, so a far mean costs no precision."""

    per_channel: int  # values in each channel
    low: torch.Tensor  # [C]
    high: torch.Tensor  # [C]
    total: torch.Tensor  # [N, C] sum
    power: torch.Tensor  # [N, C] sum of squares
    center: float | torch.Tensor  # a tensor [] where it was decided on the device

    @classmethod
    def of(cls, arranged: Arranged, center: float | torch.Tensor = 0.0) -> Summary:
        """Summarize a tensor on its device, where every operation is a kernel to be launched."""
        samples, _, size = arranged.shape
        x, axis = arranged.view(), 2 if arranged.planes else 1
        moved = x - center if torch.is_tensor(center) or center else x
        low, high = x.amin((0, axis)), x.amax((0, axis))
        total, power = moved.sum(axis), (moved * moved).sum(axis)
        return cls(samples * size, low, high, total, power, center)

    @classmethod
    def first(cls, arranged: Arranged) -> Summary:
        """About the mean where that is far off zero, which nobody has to wait for."""
        plain = cls.of(arranged)
        count = plain.per_channel * plain.low.numel()
        total, power = (sums.sum(dtype=torch.float64) for sums in (plain.total, plain.power))
        mean = total / count  # []
        far = mean**2 * count > FAR**2 * (power - count * mean**2).clamp(min=0)
        center = torch.where(far & power.isfinite(), mean, torch.zeros_like(mean))
        return cls.of(arranged, center.to(arranged.x.dtype))

    def part(self, channels: slice | None) -> Summary:
        """The same of some of the channels; `None` for all."""
        if channels is None:
            return self
        low, high = self.low[channels], self.high[channels]
        total, power = self.total[:, channels], self.power[:, channels]
        return Summary(self.per_channel, low, high, total, power, self.center)


class HostSummary:
    """One tensor's summary on the host, its channels made one.

    Attributes: count; center, what its sums are about; mean; m2, the sum of squared deviations from
    it; low and high [C]; least and greatest; values [n], those that enter the histogram.
    """

    def __init__(
        self,
        per_channel: int,
        center: float,
        low: Array,
        high: Array,
        total: Array,
        power: Array,
        values: Array,
    ) -> None:
        self.count = per_channel * low.size
        offset = float(total.sum(dtype=np.float64)) / self.count
        self.center = center
        self.mean = center + offset
        squares = float(power.sum(dtype=np.float64))
        left = squares - self.count * offset**2
        self.m2 = max(0.0, left) if math.isfinite(squares) else math.nan
        self.low, self.high = low, high
        self.least, self.greatest = float(low.min()), float(high.max())
        self.values = values

    @property
    def finite(self) -> bool:
        return math.isfinite(self.m2)  # any NaN or infinity reaches it

    @property
    def far_off(self) -> bool:
        """Whether sums about zero lose digits of the variance."""
        return self.mean**2 * self.count > FAR**2 * self.m2


Observed = tuple[Summary, torch.Tensor]


def to_host(observed: Sequence[Observed]) -> list[HostSummary]:
    """Wait for the device once, for all tensors together."""
    parts = [
        part
        for summary, values in observed
        for part in (summary.low, summary.high, summary.total, summary.power, values)
    ]
    centers = [summary.center for summary, _ in observed if torch.is_tensor(summary.center)]
    fetched = iter(_fetch([*parts, *centers]))
    found = [[next(fetched) for _ in range(5)] for _ in observed]
    return [
        HostSummary(
            summary.per_channel,
            float(next(fetched)) if torch.is_tensor(summary.center) else summary.center,
            *arrays,
        )
        for (summary, _), arrays in zip(observed, found, strict=True)
    ]


def _fetch(parts: Sequence[torch.Tensor]) -> list[Array]:
    """Tensors on the host, in one transfer if they are on a device."""
    if not parts or parts[0].is_cpu:
        return [part.numpy() for part in parts]
    joined = torch.cat([part.flatten() for part in parts]).cpu().numpy()
    ends = np.cumsum([part.numel() for part in parts])
    split = np.split(joined, ends[:-1])
    return [flat.reshape(part.shape) for flat, part in zip(split, parts, strict=True)]
