"""Facts about calibrating on some of the timesteps: what the others lose by it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from analysis.quant.whatif import estimate_range, predict_sqnr_db
from analysis.records import Array, LayerStats
from workbench.captures import OpenCapture
from workbench.lessons.facts import decibels, fact
from workbench.selection import Selection


def only(stats: LayerStats, steps: slice) -> LayerStats:
    """The layer as if only some steps had been looked at."""
    parts = {f.name: getattr(stats, f.name)[steps] for f in fields(stats) if f.name != "histogram"}
    histogram = replace(stats.histogram, counts=stats.histogram.counts[steps])
    return replace(stats, **parts, histogram=histogram)


def halves(opened: OpenCapture) -> tuple[slice, slice]:
    """The noisy and the clear half of the steps."""
    middle = opened.steps // 2
    return slice(0, middle), slice(middle, None)


def worst_db(opened: OpenCapture, selection: Selection, layer: str, steps: slice) -> float:
    """Least predicted SQNR in dB of a layer at any step, its grid made from some steps."""
    stats, how = opened.capture[layer], (selection.bits, selection.symmetric, selection.estimator)
    clip = estimate_range(only(stats, steps).total, *how)
    return float(np.min(predict_sqnr_db(stats, *how, clip=clip)))


def worst_of_all(opened: OpenCapture, selection: Selection, steps: slice) -> Array:
    """`worst_db` [L] of every convolution."""
    names = [x.name for x in opened.layers if x.kind == "conv"]
    key = ("worst", steps.start, steps.stop, selection.grid)
    return opened.remembered(
        key, lambda: np.array([worst_db(opened, selection, name, steps) for name in names])
    )


@fact
def noisy_half_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(worst_db(opened, selection, selection.layer, halves(opened)[0]))


@fact
def clear_half_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(worst_db(opened, selection, selection.layer, halves(opened)[1]))


@fact
def both_halves_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(worst_db(opened, selection, selection.layer, slice(None)))


def losers(opened: OpenCapture, selection: Selection, steps: slice) -> int:
    """Convolutions that lose a bit or more, at their worst step, by a set from some steps."""
    lost = worst_of_all(opened, selection, slice(None)) - worst_of_all(opened, selection, steps)
    return int((lost >= 20 * np.log10(2)).sum())


@fact
def noisy_half_losers(opened: OpenCapture, selection: Selection) -> str:
    return str(losers(opened, selection, halves(opened)[0]))


@fact
def clear_half_losers(opened: OpenCapture, selection: Selection) -> str:
    return str(losers(opened, selection, halves(opened)[1]))
