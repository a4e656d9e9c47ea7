"""The numbers of a grid as records, and how they are chosen for weights and activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from analysis.quant.grid import qparams_from_range
from analysis.quant.primitives import choose_qparams
from analysis.quant.ranges import get_estimator
from analysis.quant.scheme import QuantScheme
from analysis.records import ActivationStats, Array


@dataclass(frozen=True, eq=False)
class QParams:
    """One grid: bits, scale float32 and zero point int32, of shape [] or, per channel, [C].

    Where a concatenated input is split at channel `seam`, there are two: [2] or [C, 2], that of
    the channels before the seam first.

    Raises:
        ValueError: when the shapes do not fit each other or the seam.
    """

    bits: int
    scale: Array
    zero_point: Array
    seam: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.scale)
        fits = len(shape) < 2 if self.seam is None else len(shape) < 3 and shape[-1:] == (2,)
        if not fits or shape != np.shape(self.zero_point):
            raise ValueError(f"numbers of shape {shape} are no grid with the seam {self.seam}")

    def tensors(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Scale and zero point as tensors."""
        return (
            torch.tensor(self.scale, dtype=torch.float32, device=device),
            torch.tensor(self.zero_point, dtype=torch.int32, device=device),
        )


@dataclass(frozen=True)
class LayerQParams:
    """The grids of one layer: of its weight and of what it is given. `None` stays float."""

    weight: QParams | None = None
    act: QParams | None = None

    @property
    def is_float(self) -> bool:
        return self.weight is None and self.act is None


def weight_qparams(weight: Tensor, scheme: QuantScheme) -> QParams:
    """The grid of a weight [C_out, ...]; errors as for `choose_qparams`."""
    scale, zero_point = choose_qparams(
        weight, scheme.bits, scheme.symmetric, scheme.granularity, scheme.estimator
    )
    return QParams(scheme.bits, scale.cpu().numpy(), zero_point.cpu().numpy())


def act_qparams(stats: ActivationStats, scheme: QuantScheme) -> QParams:
    """The grid [] of an activation known by its statistics."""
    lo, hi = get_estimator(scheme.estimator).of_stats(stats, scheme.bits, scheme.symmetric)
    scale, zero_point = qparams_from_range(lo, hi, scheme.bits, scheme.symmetric)
    return QParams(scheme.bits, np.asarray(scale), np.asarray(zero_point))
