"""What a capture from a file must be before anyone draws it: whole, finite, plainly named."""

from __future__ import annotations

import re

import numpy as np

from analysis.records import Array, Capture, LayerStats

NAME = re.compile(r"[\w.-]+(#[a-z]+)?")  # a module's path and a tap: no markup, no line breaks
COLUMNS = ("count", "min", "max", "mean", "std")


def check_capture(capture: Capture) -> None:
    """Raise `ValueError` that names the first thing that cannot be."""
    steps = capture.timesteps
    _demand(steps.ndim == 1 and steps.size > 0 and _finite(steps), "its timesteps are no list")
    names = [layer.name for layer in capture.layers]
    _demand(bool(names), "it has no layers")
    _demand(len(set(names)) == len(names), "two of its layers have one name")
    for name in names:
        _demand(isinstance(name, str) and bool(NAME.fullmatch(name)), f"{name!r} is no layer")
    for stats in {id(stats): stats for stats in capture.stats}.values():  # many are shared
        _check_stats(stats, steps.size)
    for cut in capture.shortcuts:
        for tap, channels in (("h", cut.channels_h), ("skip", cut.channels_skip)):
            half = f"{cut.layer}#{tap}"
            fits = half in names and capture[half].channel_min.shape[1] == channels
            _demand(fits, f"the shortcut {cut.layer!r} lacks its halves")


def _check_stats(stats: LayerStats, steps: int) -> None:
    columns = [getattr(stats, name) for name in COLUMNS]
    counts, edges = stats.histogram.counts, stats.histogram.edges
    low, high = stats.channel_min, stats.channel_max
    _demand(all(column.shape == (steps,) for column in columns), "its columns differ in length")
    _demand(low.ndim == 2 and low.shape[0] == steps and low.size > 0, "its channels are missing")
    _demand(low.shape == high.shape, "its columns differ in length")
    _demand(counts.shape == (steps, len(edges) - 1), "its histograms have another length")
    _demand(all(map(_finite, (*columns, low, high, edges))), "it holds NaN or infinite values")
    _demand(bool((stats.count > 0).all()), "a layer has no values")
    _demand(bool((np.diff(edges) > 0).all()), "its bins have no width")
    _demand(counts.dtype.kind == "u" and bool(counts.any(axis=1).all()), "its histograms are empty")


def _finite(values: Array) -> bool:
    return values.dtype.kind in "iuf" and bool(np.isfinite(values).all())


def _demand(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
