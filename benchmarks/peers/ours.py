"""This project: capture, then plain rounding (rtn)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    setting = "rtn: per-channel weights, per-tensor activations, split shortcuts, `instant`"

    def prepare(self, run: Run, bits: Bits) -> _Prepared:
        return _Prepared(run, bits)

    def collect(self, prepared: _Prepared, run: Run) -> None:
        prepared.capture[:] = [
            analysis.capture(run.model, steps=run.steps, samples=run.samples, seed=run.seed)
        ]

    def quantized(self, prepared: _Prepared) -> nn.Module:
        plan = f"W{prepared.bits.weights}A{prepared.bits.activations}"
        made: Any = analysis.quantize(
            prepared.run.model, "rtn", plan, calibration=prepared.capture[0]
        )
        return Noise(made.handle.denoiser)

    @property
    def version(self) -> str:
        return commit()
