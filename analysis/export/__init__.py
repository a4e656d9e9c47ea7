"""Quantized models as files for others, one format a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.models.handle import ModelHandle
from analysis.progress import Progress
from analysis.quant.model import QuantizedModel
from analysis.registry import Registry, discover


@dataclass(frozen=True)
class ExportOptions:
    """What a format may need beside the quantized model."""

    model: ModelHandle | None = None  # the float model; loaded by its name if not given
    samples: int = 16  # that a format draws, if it shows any
    steps: int = 50
    seed: int = 0
    progress: Progress | None = None


Export = Callable[[QuantizedModel, Path, ExportOptions], list[Path]]
EXPORTS: Registry[Export] = Registry("export format")

discover(__name__)
