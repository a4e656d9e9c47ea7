"""The inner loop of reconstruction: one unit, its cached inputs, and nothing around it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analysis.progress import ShouldStop, check_stop
from analysis.quant.drop import chosen
from analysis.quant.learnable import roundings, scales
from analysis.quant.phase import Phase
from analysis.quant.rounding import SoftRounding, beta_at
from analysis.quant.watch import outputs

RECORDED = 25  # losses kept of a unit, evenly spaced


class Diverged(Exception):  # noqa: N818 - the unit is left as it was, nothing has failed
    """The loss of a unit left all bounds; its text says when."""


@dataclass(frozen=True)
class Cache:
    """What a unit is given and must answer, for all N rows of the calibration set.

    An iteration only picks rows.
    """

    quantized: tuple[Any, ...]  # arguments as the quantized model so far makes them
    floating: tuple[Any, ...]  # the same arguments in the float model
    target: Tensor  # [N, ...] output of the float unit
    inner: dict[str, Tensor]  # layer -> [N, ...] outputs of the float unit's layers but the last
    weight: Tensor | None = None  # [N] what a row's error counts, 1 on average; none: 1

    @property
    def rows(self) -> int:
        return len(self.target)


def learn(
    twin: nn.Module,
    cache: Cache,
    phase: Phase,
    on_loss: Callable[[int, float], None],
    should_stop: ShouldStop | None = None,
    limit: float = math.inf,
) -> None:
    """Adam on the roundings and scales of a learnable unit.

    Rows and drops are drawn from torch's global generator. Convolutions may run in bfloat16
    (see `half_conv`), all else is float32.

    Raises:
        Diverged: when a recorded loss is no number or above `limit`.
        Cancelled: when `should_stop` says so.
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
            _pull(rounded, iteration, phase)
            rows = torch.randint(cache.rows, (phase.batch,)).to(cache.target.device)
            loss = _unit_loss(twin, cache, rows, phase, phase.input_drop, seen)
            if iteration % every == 0 or iteration == phase.iterations - 1:
                on_loss(iteration, _checked(float(loss.detach()), limit, iteration))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            if learned:  # never to 0 or below
                torch._foreach_clamp_min_([scale.detach() for scale in learned], least)


def loss_of(unit: nn.Module, cache: Cache, phase: Phase) -> float:
    """The loss of a quantized unit as it is, on the first rows; at least 1e-6 of the signal."""
    rows = torch.arange(min(cache.rows, phase.batch), device=cache.target.device)
    seen: dict[str, Tensor] = {}
    with torch.no_grad(), outputs(unit, cache.inner, seen.__setitem__):
        loss = _unit_loss(unit, cache, rows, phase, 0.0, seen)
    target = cache.target[rows]
    signal = _loss(target, torch.zeros_like(target), phase.power)
    return max(float(loss), 1e-6 * float(signal))


@torch.no_grad()
def balance(unit: nn.Module, cache: Cache, rows_at_once: int) -> Tensor:
    """Weights [N] of a cache's rows by which the unit as it is has the same error on all of them.

    A denoiser errs hundreds of times more near t = 0 than where the sampler starts, and where it
    starts even a small shift of the prediction ends up in the picture.
    """
    errors = []
    for rows in torch.arange(cache.rows, device=cache.target.device).split(rows_at_once):
        args, kwargs = _picked(cache, rows, 0.0)
        difference = unit(*args, **kwargs).float() - cache.target[rows].float()
        errors.append(difference.square().flatten(1).mean(dim=1))
    error = torch.cat(errors)  # [N]
    weight = 1 / error.clamp(min=max(1e-3 * float(error.mean()), torch.finfo(error.dtype).tiny))
    return weight / weight.mean()


def _checked(loss: float, limit: float, iteration: int) -> float:
    if not loss <= limit:  # also true for nan
        raise Diverged(f"the loss reached {loss:.3g} in iteration {iteration}.")
    return loss


def _pull(rounded: list[SoftRounding], iteration: int, phase: Phase) -> None:
    beta = beta_at(iteration, phase.iterations)
    for rounding in rounded:
        rounding.pull = None if beta is None else (beta, phase.regularizer)


def _unit_loss(
    unit: nn.Module, cache: Cache, rows: Tensor, phase: Phase, drop: float, seen: dict[str, Tensor]
) -> Tensor:
    """Loss of a unit and of its inner layers, whose outputs a hook puts into `seen`."""
    args = _picked(cache, rows, drop)
    weight = None if cache.weight is None else cache.weight[rows]
    loss = _loss(unit(*args[0], **args[1]), cache.target[rows], phase.power, weight)
    for name, target in cache.inner.items():
        loss = loss + phase.alpha * _loss(seen[name], target[rows], phase.power, weight)
    return loss


def _loss(out: Tensor, target: Tensor, power: float, weight: Tensor | None = None) -> Tensor:
    """Sum over channels, mean over the rest, of |out - target|^p (BRECQ's lp_loss).

    `weight` [N] multiplies the error of each row.
    """
    difference = out.float() - target.float()
    per_value = difference.square() if power == 2 else difference.abs().pow(power)
    channels = out.shape[1] if out.ndim != 3 else out.shape[2]
    if weight is not None:
        per_value = per_value.flatten(1).mean(dim=1) * weight  # [N]
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

    Adam's steps are about as long as its rate, whatever the gradient. Attention probabilities have
    scales that one step of the published rate would turn negative.
    """
    return min(phase.scale_lr, float(scale.detach().min()) / 50)


def _picked(cache: Cache, rows: Tensor, drop: float) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments for some rows; with `drop`, elements of the float model's are mixed in."""

    def pick(quantized: Any, floating: Any) -> Any:
        if isinstance(quantized, dict):
            return {k: pick(v, floating[k]) for k, v in quantized.items()}
        if not _has_rows(quantized, cache.rows):
            return quantized
        picked = quantized[rows]
        if not drop or not picked.is_floating_point():
            return picked
        return torch.lerp(picked, floating[rows], chosen(picked, drop))

    args = tuple(pick(q, f) for q, f in zip(cache.quantized[0], cache.floating[0], strict=True))
    return args, pick(cache.quantized[1], cache.floating[1])


def _has_rows(value: Any, rows: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == rows
