"""What rounding a layer will do to the predicted noise: a first-order estimate, all at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from analysis.models.handle import ModelHandle
from analysis.one_layer import HeldOut
from analysis.quant.model import LayerRow
from analysis.quant.watch import outputs
from analysis.records import LayerRef

# Where the error of an attention operand enters: the layer whose output it is, or comes next to.
ENTRANCES = {"q": "to_q", "k": "to_k", "v": "to_v", "softmax": "to_out.0"}


def expected_db(
    model: ModelHandle, held: HeldOut, layers: Sequence[tuple[LayerRef, LayerRow]]
) -> dict[str, float]:
    """Expected SQNR in dB of the predicted noise, for each layer quantized alone.

    To first order the error of the noise is J e, with e the error in a layer's output and J the
    derivative of the noise by that output. Taking e as white, with the power that the layer's
    row predicts, E |J e|^2 = var(e) |J|_F^2; and |J|_F^2 = E |J^T v|^2 for v of unit variance
    (Hutchinson 1990), which one backward pass gives for all layers together. One sample of each
    held-out moment is used. Layers of which nothing is known are left out.
    """
    entrances = {layer.name: entrance(layer) for layer, _ in layers}
    power: dict[str, float] = {}  # of the noise, for an error of the output's own power
    signal = 0.0
    for moment in range(len(held.moments)):
        noise, gains = _gains(model, held, moment, sorted(set(entrances.values())))
        signal += noise
        for name, gain in gains.items():
            power[name] = power.get(name, 0.0) + gain
    found = {}
    for layer, row in layers:
        gain = power.get(entrances[layer.name], 0.0)
        if row.sqnr_db is not None and gain > 0 and signal > 0:
            found[layer.name] = row.sqnr_db + 10 * math.log10(signal / gain)
    return found


def entrance(layer: LayerRef) -> str:
    """The module in whose output the error of a layer appears."""
    tap = ENTRANCES.get(layer.tap)
    return f"{layer.module}.{tap}" if tap else layer.module


@torch.enable_grad()
def _gains(
    model: ModelHandle, held: HeldOut, moment: int, names: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """Power of the noise, and for each module mean(y^2) |J^T v|^2 of its output y."""
    kept: dict[str, Tensor] = {}

    def keep(name: str, out: Tensor) -> None:
        if out.requires_grad:
            kept[name] = out

    inputs = _inputs(held, moment)
    with outputs(model.denoiser, names, keep):
        noise = model.denoiser(**inputs).sample
    draw = torch.Generator().manual_seed(moment)
    v = torch.randn(noise.shape, generator=draw).to(noise)
    grads = torch.autograd.grad((noise * v).sum(), list(kept.values()), allow_unused=True)
    gains = {
        name: float(out.detach().double().square().mean() * grad.double().square().sum())
        for (name, out), grad in zip(kept.items(), grads, strict=True)
        if grad is not None
    }
    return float(noise.detach().double().square().sum()), gains


def _inputs(held: HeldOut, moment: int) -> dict[str, Any]:
    """What the denoiser is given for the first sample; everything it can be derived by."""
    scheduler, t = held.moments[moment]
    x = held.x_t[moment][:1]  # [1, C, H, W]
    x = torch.cat([x, x]) if held.told.guided else x
    inputs: dict[str, Any] = {
        "sample": scheduler.scale_model_input(x, t),
        "timestep": t.to(torch.float32),
        **held.told.for_batch(1),
    }
    return {name: _derivable(value) for name, value in inputs.items()}


def _derivable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _derivable(item) for name, item in value.items()}
    if not value.is_floating_point():
        return value
    return value.detach().clone().requires_grad_()
