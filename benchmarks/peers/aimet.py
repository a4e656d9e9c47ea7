"""AIMET (aimet-torch): QuantizationSimModel."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

from torch import nn

from benchmarks.peers.peer import Bits, Peer, Records, Run, example, plain


class Aimet(Peer):
    name = "aimet"
    package = "aimet-torch"
    environment = "aimet"
    records = Records(False, False, False, "minimum and maximum of every quantized tensor")
    setting = (
        "QuantizationSimModel, scheme min_max, its per-channel configuration, which has outputs "
        "quantized and normalization's weights; inputs of layers behind an activation function, "
        "which it leaves float where one module serves three places, are quantized too; where "
        "torchvision's wheel is built for CUDA and torch is not, its operators are declared empty"
    )
    scheme: ClassVar[str] = "min_max"

    def prepare(self, run: Run, bits: Bits) -> Any:
        from aimet_torch.common.defs import QuantScheme
        from aimet_torch.common.quantsim_config.utils import get_path_for_per_channel_config
        from aimet_torch.nn import QuantizationMixin
        from aimet_torch.quantsim import QuantizationSimModel
        from diffusers.models.embeddings import Timesteps

        QuantizationMixin.ignore(Timesteps)  # AIMET does not know it, and names this way out
        simulated = QuantizationSimModel(
            plain(run),
            dummy_input=example(run),
            quant_scheme=QuantScheme[self.scheme],
            default_output_bw=bits.activations,
            default_param_bw=bits.weights,
            in_place=True,
            config_file=get_path_for_per_channel_config(),
        )
        _quantize_inputs(simulated.model, QuantizationMixin)
        return simulated

    def collect(self, prepared: Any, run: Run) -> None:
        prepared.compute_encodings(lambda noise: run(noise))

    def quantized(self, prepared: Any) -> nn.Module:
        return prepared.model


class AimetEnhanced(Aimet):
    name = "aimet-tf-enhanced"
    records = Records(False, False, True, "a histogram of every quantized tensor")
    setting = "as aimet, with scheme post_training_tf_enhanced"
    scheme = "post_training_tf_enhanced"


def _quantize_inputs(model: nn.Module, mixin: Any) -> None:
    """Give every convolution and linear layer that has none a quantizer of its input.

    It is one like those that AIMET made for outputs: same scheme, bits and symmetry.
    """
    layers = [m for m in model.modules() if isinstance(m, mixin)]
    pattern = next(q for layer in layers for q in layer.output_quantizers if q is not None)
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.input_quantizers[0] is None:
            layer.input_quantizers[0] = copy.deepcopy(pattern)
