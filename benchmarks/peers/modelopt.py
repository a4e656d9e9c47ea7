"""NVIDIA ModelOpt (nvidia-modelopt): modelopt.torch.quantization."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from benchmarks.peers.peer import Bits, Peer, Records, Run, plain


class ModelOpt(Peer):
    name = "modelopt"
    package = "nvidia-modelopt"
    environment = "modelopt"
    records = Records(False, False, False, "the largest magnitude of every layer's input")
    setting = "INT8_DEFAULT_CFG: symmetric, per-channel weights, calibrated by max"

    def prepare(self, run: Run, bits: Bits) -> list[Any]:
        import modelopt.torch.quantization as mtq

        config = copy.deepcopy(mtq.INT8_DEFAULT_CFG)
        widths = {"*weight_quantizer": bits.weights, "*input_quantizer": bits.activations}
        for entry in config["quant_cfg"]:
            if entry["quantizer_name"] in widths and "cfg" in entry:
                entry["cfg"]["num_bits"] = widths[entry["quantizer_name"]]
        return [plain(run), config]

    def collect(self, prepared: list[Any], run: Run) -> None:
        import modelopt.torch.quantization as mtq

        noise, config = prepared
        prepared[0] = mtq.quantize(noise, config, forward_loop=lambda model: run(model))

    def quantized(self, prepared: list[Any]) -> nn.Module:
        return prepared[0]
