"""Range estimators: from a tensor or a histogram to the range that the grid shall cover."""

from __future__ import annotations

from analysis.quant.ranges.estimator import ESTIMATORS, RangeEstimator, get_estimator
from analysis.registry import discover

__all__ = ["ESTIMATORS", "RangeEstimator", "get_estimator"]

discover(__name__)
