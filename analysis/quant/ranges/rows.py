"""Rows of a tensor as statistics, for estimators that search on histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.records import ActivationStats, Histogram

if TYPE_CHECKING:
    from torch import Tensor

BINS = 2048


def row_stats(row: Tensor, bins: int = BINS) -> ActivationStats:
    """Statistics of one row [M] with a histogram of all its values between its extremes."""
    values = row.detach().cpu().double().numpy()  # float32 has no room for bins in a hair
    low, high = float(values.min()), float(values.max())
    # Equal ends would be moved apart by 0.5 each; a hair is enough.
    pad = max(abs(low), 1e-30) * 1e-6 if low == high else 0.0
    counts, edges = np.histogram(values, bins=bins, range=(low - pad, high + pad))
    ends = np.array([low]), np.array([high])
    return ActivationStats(
        values.size,
        low,
        high,
        float(values.mean()),
        float(values.std()),
        Histogram(counts, edges),
        *ends,
    )
