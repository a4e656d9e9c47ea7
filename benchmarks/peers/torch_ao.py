"""torch.ao: its observers and fake quantization around every convolution and linear layer."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn
from torch.ao.nn import qat
from torch.ao.quantization import (
    FakeQuantize,
    HistogramObserver,
    MinMaxObserver,
    PerChannelMinMaxObserver,
    QConfig,
    disable_fake_quant,
    disable_observer,
    enable_fake_quant,
    enable_observer,
)

from benchmarks.peers.peer import Bits, Peer, Records, Run, plain

SWAPS: dict[type[nn.Module], Any] = {nn.Conv2d: qat.Conv2d, nn.Linear: qat.Linear}


class _TorchAo(Peer):
    package = "torch"
    setting = "FakeQuantize on every layer's input, per-channel symmetric weights"
    observer: ClassVar[Any]

    def prepare(self, run: Run, bits: Bits) -> nn.Module:
        noise = plain(run)
        _wrap(noise, _qconfig(self.observer, bits))
        noise.apply(disable_fake_quant)
        return noise

    def collect(self, prepared: nn.Module, run: Run) -> None:
        prepared.apply(enable_observer)
        run(prepared)

    def quantized(self, prepared: nn.Module) -> nn.Module:
        for module in prepared.modules():
            if isinstance(module, FakeQuantize):
                scale, zero_point = module.calculate_qparams()
                module.scale.resize_(scale.shape).copy_(scale)
                module.zero_point.resize_(zero_point.shape).copy_(zero_point)
        prepared.apply(disable_observer)
        return prepared.apply(enable_fake_quant)


class TorchAoMinMax(_TorchAo):
    name = "torch-ao-minmax"
    records = Records(False, False, False, "minimum and maximum of every layer's input")
    observer = MinMaxObserver


class TorchAoHistogram(_TorchAo):
    name = "torch-ao-histogram"
    records = Records(
        False, False, True, "extremes and a histogram (2,048 bins) of every layer's input"
    )
    observer = HistogramObserver


def _qconfig(observer: Any, bits: Bits) -> QConfig:
    half = 2 ** (bits.weights - 1)
    return QConfig(
        activation=FakeQuantize.with_args(
            observer=observer,
            quant_min=0,
            quant_max=2**bits.activations - 1,
            dtype=torch.quint8,
            qscheme=torch.per_tensor_affine,
        ),
        weight=FakeQuantize.with_args(
            observer=PerChannelMinMaxObserver,
            quant_min=-half,
            quant_max=half - 1,
            dtype=torch.qint8,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
        ),
    )


def _wrap(parent: nn.Module, qconfig: QConfig) -> None:
    """Every layer becomes (fake quantization of its input, torch.ao's own layer)."""
    for name, child in parent.named_children():
        swap = SWAPS.get(type(child))
        if swap is None:
            _wrap(child, qconfig)
            continue
        child.qconfig = qconfig  # type: ignore[assignment]
        layer = swap.from_float(child).eval()
        setattr(parent, name, nn.Sequential(qconfig.activation(), layer))
