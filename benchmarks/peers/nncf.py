"""NNCF: nncf.quantize on the PyTorch model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from benchmarks.peers.peer import Bits, Peer, Records, Run, plain


@dataclass
class _Prepared:
    noise: nn.Module
    bits: Bits


class Nncf(Peer):
    name = "nncf"
    package = "nncf"
    environment = "nncf"
    records = Records(
        False, False, False, "extremes of every call, and means for its bias correction"
    )
    setting = (
        "nncf.quantize's default with fast bias correction; it takes a data set, so sampling runs "
        "first, then the model again on every x_t, and collecting ends with the quantized model; "
        "W4A8 is asked for the device NPU"
    )

    def prepare(self, run: Run, bits: Bits) -> _Prepared:
        return _Prepared(plain(run), bits)

    def collect(self, prepared: _Prepared, run: Run) -> None:
        import nncf
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            QuantizationParameters,
        )

        recorder = _Inputs(prepared.noise)
        run(recorder)
        bits, usual = prepared.bits, prepared.bits == Bits(8, 8)
        device = nncf.TargetDevice.ANY if usual else nncf.TargetDevice.NPU
        prepared.noise = nncf.quantize(
            prepared.noise,
            nncf.Dataset(recorder.seen),
            subset_size=len(recorder.seen),
            target_device=device,  # of all devices the NPU alone has 4-bit weights
            advanced_parameters=None
            if usual
            else AdvancedQuantizationParameters(
                weights_quantization_params=QuantizationParameters(num_bits=bits.weights),
                activations_quantization_params=QuantizationParameters(num_bits=bits.activations),
            ),
        )

    def quantized(self, prepared: _Prepared) -> nn.Module:
        return prepared.noise


class _Inputs(nn.Module):
    """Keeps what it was given, and answers as the model does."""

    def __init__(self, noise: nn.Module) -> None:
        super().__init__()
        self.noise = noise
        self.seen: list[Any] = []

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.seen.append((x, t))
        return self.noise(x, t)
