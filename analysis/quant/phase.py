"""What one walk through a model learns, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One walk: every block in execution order, each with Adam for a number of iterations.

    The loss is mean over samples and positions of sum over channels |block_q - block_fp|^p, plus
    `alpha` times the same of the block's inner layers (EDA-DM's fine-grained block
    reconstruction), plus `regularizer` times AdaRound's sum.
    """

    name: str
    iterations: int
    weights: bool = True  # learn roundings
    scales: bool = False  # learn activation scales
    batch: int = 32
    weight_lr: float = 1e-3
    scale_lr: float = 4e-4
    power: float = 2.0  # p of the loss
    regularizer: float = 0.01
    alpha: float = 0.0
    input_drop: float = 0.0  # share of input elements that are the float model's (QDrop)
    act_drop: float = 0.0  # share of activations that are left unquantized (QDrop)
    balanced: bool = False  # weigh samples by 1 / their error at the start, so that all count alike
    last: Phase | None = None  # how the last unit learns; none: as the others


def last_layer(name: str, iterations: int) -> Phase:
    """AdaRound for the last unit with all before it quantized, every sample counting alike.

    No paper has this. The last layer alone can take the shift that has gathered before it out of
    the prediction, and a plain mean over samples would hardly see that shift where the sampler
    starts (docs/quantization.md).
    """
    return Phase(name=name, iterations=iterations, batch=32, weight_lr=2e-2, balanced=True)


@dataclass(frozen=True)
class LossPoint:
    """The loss of one iteration, while a block learns."""

    phase: str
    unit: str
    iteration: int
    iterations: int
    loss: float


OnLoss = Callable[[LossPoint], None]


def curves(points: Iterable[LossPoint]) -> list[dict[str, Any]]:
    """Losses with a row for every block, in plain values; `points_of` undoes it."""
    rows = []
    for key, run in groupby(points, lambda p: (p.phase, p.unit, p.iterations)):
        told = list(run)
        row = dict(zip(("phase", "unit", "iterations"), key, strict=True))
        rows.append(row | {"at": [p.iteration for p in told], "loss": [p.loss for p in told]})
    return rows


def points_of(rows: Iterable[Mapping[str, Any]]) -> list[LossPoint]:
    """The losses behind the rows of `curves`."""
    return [
        LossPoint(row["phase"], row["unit"], iteration, row["iterations"], loss)
        for row in rows
        for iteration, loss in zip(row["at"], row["loss"], strict=True)
    ]
