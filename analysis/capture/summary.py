"""One pass over one tensor on its own device: exact extremes and moments, a few drawn values."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Summary:
    """Statistics of one tensor, still on the device; nothing here waits for it."""

    count: int
    mean: torch.Tensor  # []
    m2: torch.Tensor  # [] sum of squared deviations from the mean
    channel_min: torch.Tensor  # [C]
    channel_max: torch.Tensor  # [C]
    values: torch.Tensor  # [n] the values that enter the histogram

    def merge(self, other: Summary) -> Summary:
        """Both tensors as one (Chan, Golub & LeVeque 1979, pairwise update)."""
        total = self.count + other.count
        shift = other.mean - self.mean
        return Summary(
            total,
            self.mean + shift * (other.count / total),
            self.m2 + other.m2 + shift**2 * (self.count * other.count / total),
            torch.minimum(self.channel_min, other.channel_min),
            torch.maximum(self.channel_max, other.channel_max),
            torch.cat([self.values, other.values]),
        )


def summarize(x: torch.Tensor, channels_last: bool, picked: torch.Tensor | None) -> Summary:
    """Summarize a tensor.

    Args:
        x: [N, C, ...] or, with `channels_last`, [N, ..., C].
        picked: positions in the flattened tensor that enter the histogram; `None` for all.
    """
    x = x.detach().float().contiguous()
    if channels_last:
        rows = x.view(-1, x.shape[-1])  # [N * ..., C]
        low, high = rows.amin(0), rows.amax(0)
    else:
        planes = x.flatten(2) if x.ndim > 2 else x.unsqueeze(-1)  # [N, C, M]
        low, high = planes.amin((0, 2)), planes.amax((0, 2))
    flat = x.view(-1)
    mean = flat.mean()
    deviation = flat - mean
    values = flat if picked is None else flat.index_select(0, picked)
    return Summary(flat.numel(), mean, torch.dot(deviation, deviation), low, high, values)
