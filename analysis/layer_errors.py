"""What rounding costs every layer, measured on the float model's own activations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analysis.models.handle import ModelHandle
from analysis.models.smaller_batches import with_smaller_batches
from analysis.models.trajectory import DEFAULT_BATCH, batches, calls, sampling_spec, trajectory
from analysis.progress import Progress, ShouldStop, Teller
from analysis.quant.assemble import quant_layers
from analysis.quant.model import QuantizedModel
from analysis.quant.modules import QuantLayer
from analysis.quant.whatif import sqnr_db

STEPS, SAMPLES = 8, 4  # of the run that layers are measured on


@dataclass(frozen=True)
class LayerError:
    """SQNR in dB of one layer, given what the float model gives it, over all steps together.

    `input_db` is of the rounded input alone, which is what a capture predicts; `output_db` is of
    what the layer computes from it with its rounded weight. `inf` where nothing was lost.
    """

    input_db: float
    output_db: float


def layer_errors(
    model: ModelHandle,
    quantized: QuantizedModel,
    samples: int = SAMPLES,
    steps: int = STEPS,
    seed: int = 1,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> dict[str, LayerError]:
    """Run the float model, and let every quantized layer answer beside the float one.

    No error travels from layer to layer, so the numbers say what each layer adds. Operands of
    attention are no layers and have none.

    Raises:
        UserError: for steps, samples or seed that make no sense.
        Cancelled: when `should_stop` says so.
    """
    spec = sampling_spec(model, steps, samples, seed)

    def run(at_once: int) -> dict[str, LayerError]:
        tell = Teller(calls(model, spec, samples, at_once), progress, should_stop)
        handle, twins = _beside(model, quant_layers(quantized.handle.denoiser))
        for first, count in batches(samples, at_once):
            for _ in trajectory(handle, spec, first, count):
                tell("measuring every layer")
        return {name: twin.error() for name, twin in twins.items()}

    return with_smaller_batches(run, DEFAULT_BATCH)


class _Beside(nn.Module):
    """A float layer that also lets its quantized twin answer, and counts the difference."""

    def __init__(self, floating: nn.Module, quantized: QuantLayer) -> None:
        super().__init__()
        self.floating, self.quantized = floating, quantized
        self.sums: list[Any] = [0.0] * 4  # squares: input, its error, output, its error

    @property
    def weight(self) -> Tensor:
        """Some blocks look up the dtype of their layers' weights."""
        assert isinstance(self.floating.weight, Tensor)
        return self.floating.weight

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        out = self.floating(x)
        pairs = ((x, self.quantized.input_quantizer(x)), (out, self.quantized(x)))
        for i, (true, rounded) in enumerate(pairs):
            self.sums[2 * i] = self.sums[2 * i] + _power(true)
            self.sums[2 * i + 1] = self.sums[2 * i + 1] + _power(true - rounded)
        return out

    def error(self) -> LayerError:
        into, into_error, out, out_error = (float(one) for one in self.sums)
        return LayerError(float(sqnr_db(into, into_error)), float(sqnr_db(out, out_error)))


def _power(x: Tensor) -> Tensor:
    """Stays on the device: asking for the number would wait for every layer."""
    return x.double().square().sum()


def _beside(
    model: ModelHandle, layers: Mapping[str, QuantLayer]
) -> tuple[ModelHandle, dict[str, _Beside]]:
    """The model with a twin beside each of these layers, by name; it shares all weights."""
    shared = [*model.denoiser.parameters(), *model.denoiser.buffers()]
    denoiser = copy.deepcopy(model.denoiser, {id(tensor): tensor for tensor in shared})
    twins = {name: _Beside(denoiser.get_submodule(name), q) for name, q in layers.items()}
    by_layer = {twin.floating: twin for twin in twins.values()}
    for parent in list(denoiser.modules()):
        for key, child in list(parent._modules.items()):
            if child in by_layer:  # diffusers files some layers under two names
                parent._modules[key] = by_layer[child]
    return model.with_denoiser(denoiser), twins
