"""Signal-to-quantization-noise ratio, of tensors of any shape."""

from __future__ import annotations

import math

from torch import Tensor

from analysis.metrics.metric import METRICS, Metric, check_same_shape


def sqnr_db(reference: Tensor, candidate: Tensor) -> float:
    """10 log10(sum reference^2 / sum (reference - candidate)^2), in dB, over all elements.

    Tensors that are equal give `inf`; a reference of zeros that is not reproduced gives `-inf`.
    Raises `UserError` if the shapes differ.
    """
    check_same_shape(reference, candidate)
    signal = reference.double()
    power = signal.square().sum().item()
    noise = (signal - candidate.double()).square().sum().item()
    if noise == 0:
        return math.inf
    if power == 0:
        return -math.inf
    return 10 * math.log10(power / noise)


METRICS.register("sqnr")(Metric("sqnr", "dB", True, sqnr_db))
