"""A quantized model and the record of how it came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from analysis.models.handle import ModelHandle
from analysis.quant.phase import LossPoint
from analysis.quant.plan import QuantPlan
from analysis.quant.qparams import LayerQParams


@dataclass(frozen=True)
class LayerRow:
    """What was done to one tensor.

    `weight_bits` is `None` where there is no weight, 32 where it stayed float. `sqnr_db` adds
    the relative noise of rounding the weight and the activation as if they were independent:
    1 / (1 / w + 1 / a) of the two ratios; `None` where nothing was lost or nothing is known.
    """

    name: str
    weight_bits: int | None
    act_bits: int
    sqnr_db: float | None


@dataclass(frozen=True)
class QuantizedModel:
    """A handle on the simulated integer model, with everything needed to build it again."""

    handle: ModelHandle  # its denoiser is the converted one
    plan: QuantPlan
    method: str
    config: Mapping[str, Any]  # the method's options, plain values
    qparams: Mapping[str, LayerQParams]
    layers: tuple[LayerRow, ...]
    model_digest: str  # of the float model
    calibration: str  # digest of what it was calibrated on; empty without activations
    size_bytes: int  # weights packed at their bits, scales, and the rest in float
    float_size_bytes: int
    skipped: Mapping[str, str] = field(default_factory=dict)  # layer -> why it is (partly) float
    notes: tuple[str, ...] = ()  # sentences: what could not be applied, which blocks did not learn
    timesteps: tuple[float, ...] = ()  # that the calibration holds; none where it is not known
    losses: tuple[LossPoint, ...] = ()  # of every block, while it learned

    @property
    def name(self) -> str:
        """For people: model, method and plan."""
        return f"{self.handle.name} {self.method} {self.plan.text}"
