"""Guided lessons, one file each: steps that set the page's own controls and say where to look."""

from __future__ import annotations

from analysis.registry import discover
from workbench.lessons.lesson import LESSONS, Lesson, Step, selected, told

discover(__name__)

__all__ = ["LESSONS", "Lesson", "Step", "selected", "told"]
