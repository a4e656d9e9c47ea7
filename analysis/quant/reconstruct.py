"""Block reconstruction: walk a model once, and let every block learn on the way.

BRECQ (Li et al. 2021) as Q-Diffusion and EDA-DM use it: a block is given what the quantized
model before it makes ("asym"), and learns to answer what the float block answers in the float
model.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from analysis.calibration.passes import conditioning_of
from analysis.calibration.record import CalibrationSet
from analysis.models.handle import ModelHandle
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.assemble import assemble
from analysis.quant.blocks import units
from analysis.quant.finished import Finished
from analysis.quant.learn import Diverged, balance, learn, loss_of
from analysis.quant.learnable import learnable, roundings, scales, settle
from analysis.quant.modules import FakeQuantize, QuantLayer
from analysis.quant.pairs import Calls, Pair, cache
from analysis.quant.phase import LossPoint, OnLoss, Phase
from analysis.quant.qparams import LayerQParams, QParams

STOP, KEEP = 1000.0, 10.0  # times the loss of the rounded unit: no more while it learns, after
ROWS_AT_ONCE = 32  # of a unit's forward passes outside the loop


@dataclass(frozen=True)
class Learned:
    """Rounded weights by layer, grids with learned scales, and the losses on the way."""

    weights: dict[str, Tensor]
    qparams: dict[str, LayerQParams]
    losses: list[LossPoint]
    notes: list[str] = field(default_factory=list)  # sentences about units that did not learn


@torch.no_grad()
def reconstruct(
    handle: ModelHandle,
    qparams: Mapping[str, LayerQParams],
    calibration: CalibrationSet,
    phase: Phase,
    weights: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
    on_loss: OnLoss | None = None,
    finished: Finished | None = None,
) -> Learned:
    """Learn roundings, or scales, or both, of all units in execution order.

    Args:
        handle: the float model, which is left as it is.
        qparams: the grids to start from; a grid that is missing keeps its tensor float.
        weights: layer -> weight [C_out, ...] rounded earlier, which is kept.
        finished: where finished units are put, and taken from when they are there already.

    Raises:
        Cancelled: when `should_stop` says so; finished units are in `finished`.
    """
    converted = assemble(handle, qparams, weights)
    walk = _Walk(handle, phase, seed, progress, should_stop, on_loss, finished)
    walk.pass_through(converted.denoiser, calibration)
    return Learned(
        walk.weights(converted.denoiser),
        _with_scales(qparams, converted.denoiser),
        walk.losses,
        walk.notes,
    )


@dataclass
class _Walk:
    handle: ModelHandle
    phase: Phase
    seed: int
    progress: Progress | None
    should_stop: ShouldStop | None
    on_loss: OnLoss | None
    finished: Finished | None
    losses: list[LossPoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: int = 0

    def pass_through(self, denoiser: nn.Module, calibration: CalibrationSet) -> None:
        """One forward pass on all samples, at whose units the learning takes place."""
        told = conditioning_of(calibration, self.handle)
        x, t, kwargs = _inputs(self.handle, calibration, told)
        rows = len(x) // 2
        self.units = units(self.handle)
        self.quantized = {name: denoiser.get_submodule(name) for name in self.units}
        for name in self.units:
            floating = self.handle.denoiser.get_submodule(name)
            pair = Pair(name, floating, self.quantized[name], self.learn, rows, ROWS_AT_ONCE)
            _put(denoiser, name, pair)
        try:
            denoiser(x, t, **kwargs)
        finally:
            for name, unit in self.quantized.items():
                _put(denoiser, name, unit)

    def learn(self, name: str, floating: nn.Module, quantized: nn.Module, calls: Calls) -> None:
        """Let one unit learn, or take what it has learned before."""
        check_stop(self.should_stop)
        phase = self._phase_of(name)
        weights = self._to_round(floating, quantized) if phase.weights else {}
        twin = learnable(quantized, weights, phase.scales, phase.act_drop)
        learns = bool(roundings(twin) or scales(twin))
        kept = self.finished.load(self.phase.name, name) if self.finished and learns else None
        if kept is not None:
            self.losses += kept.restore(twin)
            settle(quantized, twin)
        elif learns and phase.iterations:
            self._learned(name, phase, floating, quantized, twin, calls)
        self.done += phase.iterations
        self._report(0, f"{self.phase.name}: {name}")

    def _learned(
        self,
        name: str,
        phase: Phase,
        floating: nn.Module,
        quantized: nn.Module,
        twin: nn.Module,
        calls: Calls,
    ) -> None:
        """Let a unit learn; one whose loss diverges stays as it was rounded."""
        before, heard = copy.deepcopy(quantized.state_dict()), len(self.losses)
        try:
            self._run(name, phase, floating, quantized, twin, calls)
        except Diverged as error:
            quantized.load_state_dict(before)
            self.notes.append(f"{name} keeps its rounded start: in {phase.name} {error}")
            return
        if self.finished:
            self.finished.save(phase.name, name, twin, self.losses[heard:])

    def _phase_of(self, unit: str) -> Phase:
        return self.phase.last or self.phase if unit == self.units[-1] else self.phase

    def _run(
        self,
        name: str,
        phase: Phase,
        floating: nn.Module,
        quantized: nn.Module,
        twin: nn.Module,
        calls: Calls,
    ) -> None:
        inner = _inner(quantized) if phase.alpha else []
        data = cache(floating, calls, inner, ROWS_AT_ONCE)
        if phase.balanced:
            data = replace(data, weight=balance(quantized, data, ROWS_AT_ONCE))
        start = loss_of(quantized, data, phase)

        def note(iteration: int, loss: float) -> None:
            self.losses.append(LossPoint(phase.name, name, iteration, phase.iterations, loss))
            if self.on_loss:
                self.on_loss(self.losses[-1])
            self._report(iteration, f"{phase.name}: {name}, loss {loss:.4g}")

        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(f"{self.seed} {phase.name} {name}".encode()))
            learn(twin, data, phase, note, self.should_stop, STOP * start)
        settle(quantized, twin)
        end = loss_of(quantized, data, phase)
        if not end <= KEEP * start:  # also true for nan
            raise Diverged(f"the loss went from {start:.3g} to {end:.3g}.")

    def _report(self, iteration: int, text: str) -> None:
        """Progress in iterations, from the first to the last and from unit to unit alike."""
        total = sum(self._phase_of(unit).iterations for unit in self.units)
        report(self.progress, self.done + iteration, max(total, 1), text)

    def _to_round(self, floating: nn.Module, quantized: nn.Module) -> dict[str, Tensor]:
        """Float weights whose rounding this walk learns."""
        layers = {n: m for n, m in quantized.named_modules() if isinstance(m, QuantLayer)}
        return {
            name: floating.get_submodule(name).weight.detach()  # type: ignore[operator]
            for name, layer in layers.items()
            if layer.weight_bits is not None
        }

    def weights(self, denoiser: nn.Module) -> dict[str, Tensor]:
        """Layer -> rounded weight [C_out, ...]."""
        return {
            name: module.weight.detach()
            for name, module in denoiser.named_modules()
            if isinstance(module, QuantLayer) and module.weight_bits is not None
        }


def _inputs(
    handle: ModelHandle, calibration: CalibrationSet, told: Any
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Samples [2 M, C, H, W], timesteps [2 M] and arguments: M rows, and again the same M."""
    x = torch.from_numpy(calibration.x_t).to(handle.device, handle.dtype)
    t = torch.from_numpy(calibration.t).to(handle.device, torch.float32)
    copies = 4 if told.guided else 2
    kwargs = told.for_batch(calibration.size)
    return x.repeat(copies, 1, 1, 1), t.repeat(copies), _twice(kwargs)


def _twice(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.cat([value, value])
    return {k: _twice(v) for k, v in value.items()} if isinstance(value, dict) else value


def _inner(unit: nn.Module) -> list[str]:
    """Quantized layers within a unit, but the last (EDA-DM's fine-grained losses)."""
    return [n for n, m in unit.named_modules() if n and isinstance(m, QuantLayer)][:-1]


def _put(denoiser: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, key = name.rpartition(".")
    denoiser.get_submodule(parent)._modules[key] = module


def _with_scales(
    qparams: Mapping[str, LayerQParams], denoiser: nn.Module
) -> dict[str, LayerQParams]:
    """The grids with the scales that the model's quantizers have now."""
    return {
        name: grids if grids.act is None else replace(grids, act=_act(denoiser, name, grids.act))
        for name, grids in qparams.items()
    }


def _act(denoiser: nn.Module, name: str, grid: QParams) -> QParams:
    module, _, tap = name.partition("#")
    inner = f"processor.{tap}" if tap else "input_quantizer"
    quantizer = denoiser.get_submodule(f"{module}.{inner}")
    assert isinstance(quantizer, FakeQuantize)
    assert quantizer.scale is not None
    return replace(grid, scale=quantizer.scale.cpu().numpy())
