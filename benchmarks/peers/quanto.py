"""optimum-quanto: quantize, Calibration, freeze."""

from __future__ import annotations

from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.peers.peer import Bits, Peer, Records, Run, UnsupportedError, plain


class Quanto(Peer):
    name = "quanto"
    package = "optimum-quanto"
    environment = "quanto"
    records = Records(
        False, False, False, "a running mean of the largest magnitude of inputs and outputs"
    )
    setting = (
        "weights qint8 by channel, or qint4 in groups of up to 128; activations qint8, symmetric, "
        "without those that Calibration streamlines away"
    )
    caveat = (
        "its layers have no quantizer of their inputs, and their outputs are rounded only where "
        "what follows takes integers: the rest of the activations stay float"
    )

    def prepare(self, run: Run, bits: Bits) -> nn.Module:
        from optimum.quanto import qint4, qint8, quantize

        weights = {4: qint4, 8: qint8}.get(bits.weights)
        if weights is None or bits.activations != 8:
            raise UnsupportedError(f"it has no integers for {bits}")
        noise = plain(run)
        quantize(noise, weights=weights, activations=qint8)
        return noise

    def collect(self, prepared: nn.Module, run: Run) -> None:
        from optimum.quanto import Calibration

        with Calibration():
            run(prepared)

    def quantized(self, prepared: nn.Module) -> nn.Module:
        from optimum.quanto import freeze

        freeze(prepared)
        return prepared


class QuantoMax(Quanto):
    """Shows what quanto's running mean costs where ranges move with the timestep."""

    name = "quanto-max"
    records = Records(False, False, False, "the largest magnitude of inputs and outputs")
    setting = "as quanto, but the largest magnitude kept where it has a running mean"
    caveat = (
        f"the largest magnitude is this benchmark's change to it; for the rest, {Quanto.caveat}"
    )
    same_collecting = True

    def collect(self, prepared: nn.Module, run: Run) -> None:
        from optimum.quanto import calibrate

        with patch.object(calibrate, "_updated_scale", _larger):
            super().collect(prepared, run)


def _larger(scale: Tensor, new_scale: Tensor, momentum: float) -> Tensor:
    """In place of a mean; a scale of 1 is one that has seen nothing yet, as in quanto itself."""
    return new_scale if torch.all(scale == 1) else torch.maximum(scale, new_scale)
