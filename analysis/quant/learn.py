"""The inner loop of reconstruction: one unit, its cached inputs, and nothing around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analysis.progress import ShouldStop, check_stop
from analysis.quant.learnable import roundings, scales
from analysis.quant.phase import Phase
from analysis.quant.rounding import SoftRounding, beta_at
from analysis.quant.watch import outputs

RECORDED = 25  # losses kept of a unit, evenly spaced


@dataclass(frozen=True)
class Cache:
    """What a unit is given and must answer, for all N rows of the calibration set.

    An iteration only picks rows.
    """

    quantized: tuple[Any, ...]  # arguments as the quantized model so far makes them
    floating: tuple[Any, ...]  # the same arguments in the float model
    target: Tensor  # [N, ...] output of the float unit
    inner: dict[str, Tensor]  # layer -> [N, ...] outputs of the float unit's layers but the last

    @property
    def rows(self) -> int:
        return len(self.target)


def learn(
    twin: nn.Module,
    cache: Cache,
    phase: Phase,
    on_loss: Callable[[int, float], None],
    should_stop: ShouldStop | None = None,
) -> None:
    """Adam on the roundings and scales of a learnable unit.

    Rows and drops are drawn from torch's global generator. All is float32: in bfloat16 the unit
    learns a mean that is off by little more than its resolution, which the sampler adds up over
    its steps (docs/quantization.md has the figures).
    """
    rounded = list(roundings(twin).values())
    learned = list(scales(twin).values())
    least = [scale.detach() / 10 for scale in learned]
    optimizer, schedule = _optimizer(rounded, learned, phase)
    every = max(1, phase.iterations // RECORDED)
    seen: dict[str, Tensor] = {}
    with outputs(twin, cache.inner, seen.__setitem__):
        for iteration in range(phase.iterations):
            check_stop(should_stop)
            rows = torch.randint(cache.rows, (phase.batch,))
            args = _picked(cache, rows.to(cache.target.device), phase.input_drop)
            out = twin(*args[0], **args[1])
            loss = _loss(out, cache.target[rows], phase.power)
            for name, target in cache.inner.items():
                loss = loss + phase.alpha * _loss(seen[name], target[rows], phase.power)
            if iteration % every == 0 or iteration == phase.iterations - 1:
                on_loss(iteration, float(loss.detach()))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            beta = beta_at(iteration, phase.iterations)
            if beta is not None and phase.regularizer > 0:
                for rounding in rounded:
                    rounding.push(beta, phase.regularizer)
            optimizer.step()
            schedule.step()
            if learned:  # never to 0 or below
                torch._foreach_clamp_min_([scale.detach() for scale in learned], least)


def _loss(out: Tensor, target: Tensor, power: float) -> Tensor:
    """Sum over channels, mean over the rest, of |out - target|^p (BRECQ's lp_loss)."""
    difference = out.float() - target.float()
    per_value = difference.square() if power == 2 else difference.abs().pow(power)
    channels = out.shape[1] if out.ndim != 3 else out.shape[2]
    return per_value.mean() * channels


def _optimizer(
    rounded: list[SoftRounding], learned_scales: list[nn.Parameter], phase: Phase
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """Adam, with the scales' rates sinking along a cosine."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for scale in learned_scales:
        by_rate.setdefault(_rate(scale, phase), []).append(scale)
    groups: list[dict[str, Any]] = [{"params": s, "lr": rate} for rate, s in by_rate.items()]
    factors: list[Callable[[int], float]] = [
        lambda i: (1 + math.cos(math.pi * i / max(phase.iterations, 1))) / 2 for _ in groups
    ]
    if rounded:
        groups.append({"params": [r.logit for r in rounded], "lr": phase.weight_lr})
        factors.append(lambda _: 1.0)
    optimizer = torch.optim.Adam(groups, fused=True)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factors)


def _rate(scale: nn.Parameter, phase: Phase) -> float:
    """Adam's rate for a scale: the phase's, but at most a fiftieth of the scale itself.

    Adam's steps are about as long as its rate, whatever the gradient. Attention probabilities at
    8 or 16 bits have scales that one step of the published rate would turn negative.
    """
    return min(phase.scale_lr, float(scale.detach().min()) / 50)


def _picked(cache: Cache, rows: Tensor, drop: float) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for some rows; with `drop`, elements of the float model's are mixed in."""

    def pick(quantized: Any, floating: Any) -> Any:
        if isinstance(quantized, dict):
            return {k: pick(v, floating[k]) for k, v in quantized.items()}
        if not _has_rows(quantized, cache.rows):
            return quantized
        chosen = quantized[rows]
        if not drop or not chosen.is_floating_point():
            return chosen
        return torch.where(torch.rand_like(chosen) < drop, floating[rows], chosen)

    args = tuple(pick(q, f) for q, f in zip(cache.quantized[0], cache.floating[0], strict=True))
    return args, pick(cache.quantized[1], cache.floating[1])


def _has_rows(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == rows
