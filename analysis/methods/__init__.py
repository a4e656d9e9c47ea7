"""Quantization methods, one file each: a configuration and a function, filed in `METHODS`."""

from __future__ import annotations

from analysis.methods.method import METHODS, Method
from analysis.registry import discover

__all__ = ["METHODS", "Method"]

discover(__name__)
