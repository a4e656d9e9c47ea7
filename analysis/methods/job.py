"""One request to quantize: everything about it but what is quantized, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analysis.progress import Progress, ShouldStop
from analysis.quant.phase import OnLoss


@dataclass(frozen=True, kw_only=True)
class Job:
    """Seed, who listens, who may stop it, and where finished parts are kept."""

    seed: int = 0
    progress: Progress | None = None
    should_stop: ShouldStop | None = None
    on_loss: OnLoss | None = None
    keep: Path | None = None  # folder of finished units; none keeps nothing
