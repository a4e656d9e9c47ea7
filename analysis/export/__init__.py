"""Quantized models as files for others, one format a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.quant.model import QuantizedModel
from analysis.registry import Registry, discover

EXPORTS: Registry[Callable[[QuantizedModel, Path], list[Path]]] = Registry("export format")

discover(__name__)
