"""Two grids for one layer: the shortcut split of Q-Diffusion (Li et al. 2023, section 4.2).

A convolution that is fed concat(h, skip) gets grids of its own for x[:, :seam] and x[:, seam:],
and for the weight slices W[:, :seam] and W[:, seam:] that meet them. Where the seam lies is read
off a forward pass (`analysis.models.layers`), never off a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from analysis.quant.qparams import QParams, act_qparams, weight_qparams
from analysis.quant.scheme import QuantScheme
from analysis.records import ActivationStats

TAPS = ("h", "skip")  # of the two halves, in the order of their channels


def spread_activation(value: Tensor, seam: int, channels: int) -> Tensor:
    """A number for each half [2] as one for each channel [1, C, 1, 1]; gradients pass.

    >>> spread_activation(torch.tensor([5.0, 7.0]), seam=1, channels=3).flatten()
    tensor([5., 7., 7.])
    """
    return value[_half_of(seam, channels, value.device)].view(1, channels, 1, 1)


def spread_weight(value: Tensor, seam: int, shape: Sequence[int]) -> Tensor:
    """Numbers [C_out, 2] as [C_out, C_in, 1, 1], to meet a weight of that shape.

    >>> spread_weight(torch.tensor([[5.0, 7.0]]), seam=2, shape=(1, 3, 1, 1)).flatten()
    tensor([5., 5., 7.])
    """
    rows = value[:, _half_of(seam, shape[1], value.device)]  # [C_out, C_in]
    return rows.view(*rows.shape, *[1] * (len(shape) - 2))


def split_weight_qparams(weight: Tensor, seam: int, scheme: QuantScheme) -> QParams:
    """The grids [C_out, 2] of a weight's slices, each as `weight_qparams` chooses one.

    Raises:
        UserError: as for `choose_qparams`.
    """
    return _joined([weight_qparams(part, scheme) for part in halves(weight, seam)], seam)


def split_act_qparams(
    h: ActivationStats, skip: ActivationStats, seam: int, scheme: QuantScheme
) -> QParams:
    """The grids [2] of an activation's halves, known by their statistics."""
    return _joined([act_qparams(h, scheme), act_qparams(skip, scheme)], seam)


def halves(x: Tensor, seam: int) -> tuple[Tensor, Tensor]:
    """x[:, :seam] and x[:, seam:]."""
    return x[:, :seam], x[:, seam:]


def on_weight(
    verb: Callable[[Tensor, Tensor, Tensor], Tensor],
    weight: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    seam: int | None,
) -> Tensor:
    """verb(weight, scale, zero_point), slice by slice where there is a seam."""
    if seam is None:
        return verb(weight, scale, zero_point)
    parts = zip(halves(weight, seam), scale.unbind(1), zero_point.unbind(1), strict=True)
    return torch.cat([verb(part, s, z) for part, s, z in parts], dim=1)


def round_split(
    x: Tensor, scale: Tensor, zero_point: Tensor, bounds: Sequence[int], seam: int, top: int
) -> Tensor:
    """x [N, C, H, W] on its two grids; as `round_to_grid` does it, and as quickly.

    Args:
        scale, zero_point: spread, [1, C, 1, 1].
        bounds: the two zero points as plain numbers.
    """
    if x.dtype != torch.float32 or x.requires_grad or not x.is_cpu:
        channels = scale.numel()
        numbers = scale.view(channels), zero_point.view(channels)
        return torch.fake_quantize_per_channel_affine(x, *numbers, 1, 0, top)
    steps = x.mul(scale.reciprocal()).round_()
    # Bounds that are tensors would keep the clamp from being vectorized.
    for part, z in zip(halves(steps, seam), bounds, strict=True):
        part.clamp_(-z, top - z)
    return steps.mul_(scale)


def _joined(grids: Sequence[QParams], seam: int) -> QParams:
    return QParams(
        grids[0].bits,
        np.stack([grid.scale for grid in grids], axis=-1),  # [2] or [C_out, 2]
        np.stack([grid.zero_point for grid in grids], axis=-1),
        seam,
    )


def _half_of(seam: int, channels: int, device: torch.device) -> Tensor:
    """0 for channels of h, 1 for those of skip [C]."""
    if not 0 < seam < channels:
        raise ValueError(f"a seam at {seam} cuts nothing off {channels} channels")
    return (torch.arange(channels, device=device) >= seam).long()
