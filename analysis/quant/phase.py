"""What one walk through a model learns, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
    last: Phase | None = None  # how the last unit learns; none: as the others


@dataclass(frozen=True)
class LossPoint:
    """The loss of one iteration, while a block learns."""

    phase: str
    unit: str
    iteration: int
    iterations: int
    loss: float


OnLoss = Callable[[LossPoint], None]
