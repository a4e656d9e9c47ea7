"""From weights over steps to whole numbers of samples that add up."""

from __future__ import annotations

import numpy as np

from analysis.errors import UserError
from analysis.records import Array


def check_size(size: int) -> None:
    """Raise `UserError` unless a calibration set can have this size."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise UserError(f"size must be a whole number of 1 or more samples; got {size}.")


def normalized(weights: Array) -> Array:
    """Weights [T] that sum to 1; all zero means that no step is preferred.

    Raises:
        UserError: when a weight is negative or not finite.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise UserError("weights of timesteps must be finite and not negative.")
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(weights), 1 / len(weights))


def allocate(weights: Array, size: int) -> Array:
    """Counts [T] that sum to `size`: weights * size rounded, then EDA-DM's remainder rule.

    What is missing is added one by one to the largest counts in turn; what is too much is taken
    one by one from the last steps that have any.

    >>> allocate(np.array([0.45, 0.45, 0.1]), 3)
    array([2, 1, 0])
    """
    check_size(size)
    counts = np.rint(normalized(weights) * size).astype(np.int64)
    missing = size - int(counts.sum())
    if missing > 0:
        largest = np.argsort(-counts, kind="stable")
        np.add.at(counts, np.resize(largest, missing), 1)
    while missing < 0:
        last = np.flatnonzero(counts)[::-1][:-missing]  # one each, the last step first
        counts[last] -= 1
        missing += len(last)
    return counts
