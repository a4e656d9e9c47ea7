"""This project: capture, then plain rounding (rtn)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import nn

import analysis
from analysis.records import Capture
from benchmarks.peers.peer import Bits, Noise, Peer, Records, Run
from benchmarks.table.sources import commit


@dataclass
class _Prepared:
    run: Run
    bits: Bits
    capture: list[Capture] = field(default_factory=list)


class Ours(Peer):
    name = "ours"
    package = ""
    records = Records(
        timestep=True,
        channel=True,
        histogram=True,
        text="extremes, moments and a histogram of every layer's input, extremes of its channels",
    )
    setting = (
        "plain rounding (rtn) between extremes, asymmetric, per-channel weights; every layer at "
        "the plan's bits, as with the others; operands of attention too"
    )
    options: ClassVar[dict[str, Any]] = {"edge_bits": None}

    def prepare(self, run: Run, bits: Bits) -> _Prepared:
        return _Prepared(run, bits)

    def collect(self, prepared: _Prepared, run: Run) -> None:
        prepared.capture[:] = [
            analysis.capture(run.model, steps=run.steps, samples=run.samples, seed=run.seed)
        ]

    def quantized(self, prepared: _Prepared) -> nn.Module:
        plan = f"W{prepared.bits.weights}A{prepared.bits.activations}"
        made: Any = analysis.quantize(
            prepared.run.model, "rtn", plan, calibration=prepared.capture[0], **self.options
        )
        return Noise(made.handle.denoiser)

    @property
    def version(self) -> str:
        return commit()


class OursByDefault(Ours):
    name = "ours-by-default"
    same_collecting = True
    setting = "as ours, but first and last layer at 8 bits, which is the workbench's default"
    caveat = "its first and last layer have 8 bits"
    options: ClassVar[dict[str, Any]] = {}


class OursSplit(OursByDefault):
    name = "ours-split"
    setting = "as ours-by-default, and grids of their own for the halves of concatenated shortcuts"
    options: ClassVar[dict[str, Any]] = {"split": True, "split_norm": True}
