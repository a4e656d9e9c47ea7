"""torchao: PT2E static quantization of the exported graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from benchmarks.peers.peer import Bits, Peer, Records, Run, example, plain


class TorchAo(Peer):
    name = "torchao"
    package = "torchao"
    environment = "torchao"
    records = Records(
        False, False, True, "extremes and a histogram of the inputs that the quantizer annotates"
    )
    setting = "PT2E, X86InductorQuantizer's default; not lowered (its quantize_ knows no Conv2d)"

    def prepare(self, run: Run, bits: Bits) -> list[Any]:
        from torchao.quantization.pt2e.quantize_pt2e import prepare_pt2e
        from torchao.quantization.pt2e.quantizer.x86_inductor_quantizer import (
            X86InductorQuantizer,
            get_default_x86_inductor_quantization_config,
        )

        usual = get_default_x86_inductor_quantization_config()
        half = 2 ** (bits.weights - 1)
        config = replace(
            usual,
            input_activation=replace(usual.input_activation, quant_max=2**bits.activations - 1),
            output_activation=replace(usual.output_activation, quant_max=2**bits.activations - 1),
            weight=replace(usual.weight, quant_min=-half, quant_max=half - 1),
        )
        graph = torch.export.export(plain(run), example(run)).module()
        return [prepare_pt2e(graph, X86InductorQuantizer().set_global(config))]

    def collect(self, prepared: list[Any], run: Run) -> None:
        run(prepared[0])

    def quantized(self, prepared: list[Any]) -> nn.Module:
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

        return convert_pt2e(prepared[0])
