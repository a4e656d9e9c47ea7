"""The numbers that lessons state, each read off the capture and the selection of its step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.records import LayerStats
from workbench.captures import OpenCapture
from workbench.figures.style import number
from workbench.selection import Selection
from workbench.statistics import range_drift

Fact = Callable[[OpenCapture, Selection], str]
FACTS: dict[str, Fact] = {}


def fact(compute: Fact) -> Fact:
    """File a fact under its function's name."""
    FACTS[compute.__name__] = compute
    return compute


def decibels(value: float) -> str:
    """A ratio in dB, to a tenth."""
    return f"{value:.1f}"


def stats_of(opened: OpenCapture, selection: Selection) -> LayerStats:
    """The selected layer."""
    return opened.capture[selection.layer]


def widths(stats: LayerStats) -> Any:
    """Greatest minus least value [T]."""
    return stats.max - stats.min


@fact
def layers(opened: OpenCapture, selection: Selection) -> str:
    return str(len(opened.layers))


@fact
def steps(opened: OpenCapture, selection: Selection) -> str:
    return str(opened.steps)


@fact
def samples(opened: OpenCapture, selection: Selection) -> str:
    return str(opened.capture.spec.samples)


@fact
def t(opened: OpenCapture, selection: Selection) -> str:
    return f"{opened.capture.timesteps[selection.step]:g}"


@fact
def first_t(opened: OpenCapture, selection: Selection) -> str:
    return f"{opened.capture.timesteps[0]:g}"


@fact
def last_t(opened: OpenCapture, selection: Selection) -> str:
    return f"{opened.capture.timesteps[-1]:g}"


@fact
def bits(opened: OpenCapture, selection: Selection) -> str:
    return str(selection.bits)


@fact
def levels(opened: OpenCapture, selection: Selection) -> str:
    return str(2**selection.bits)


@fact
def float_bits(opened: OpenCapture, selection: Selection) -> str:
    return str(np.finfo(np.float32).bits)


@fact
def plan(opened: OpenCapture, selection: Selection) -> str:
    return selection.plan


@fact
def weight_bits(opened: OpenCapture, selection: Selection) -> str:
    return str(selection.weight_bits)


@fact
def act_bits(opened: OpenCapture, selection: Selection) -> str:
    return str(selection.act_bits)


@fact
def decibels_a_bit(opened: OpenCapture, selection: Selection) -> str:
    return decibels(20 * np.log10(2))


@fact
def widest(opened: OpenCapture, selection: Selection) -> str:
    return number(widths(stats_of(opened, selection)).max())


@fact
def widest_t(opened: OpenCapture, selection: Selection) -> str:
    place = widths(stats_of(opened, selection)).argmax()
    return f"{opened.capture.timesteps[place]:g}"


@fact
def narrowest(opened: OpenCapture, selection: Selection) -> str:
    return number(widths(stats_of(opened, selection)).min())


@fact
def narrowest_t(opened: OpenCapture, selection: Selection) -> str:
    place = widths(stats_of(opened, selection)).argmin()
    return f"{opened.capture.timesteps[place]:g}"


@fact
def widening(opened: OpenCapture, selection: Selection) -> str:
    width = widths(stats_of(opened, selection))
    return number(width.max() / width.min())


@fact
def least_filled(opened: OpenCapture, selection: Selection) -> str:
    """Percent of a grid for all timesteps that the narrowest one uses."""
    drift = range_drift(stats_of(opened, selection), selection.grid)
    return f"{100 * 2.0 ** -np.nanmax(drift):.0f}"


@fact
def convolutions(opened: OpenCapture, selection: Selection) -> str:
    return str(sum(x.kind == "conv" for x in opened.layers))


@fact
def typical_widening(opened: OpenCapture, selection: Selection) -> str:
    """Median over all convolutions of widest by narrowest range."""
    rows = [widths(opened.capture[x.name]) for x in opened.layers if x.kind == "conv"]
    return number(float(np.median([row.max() / row.min() for row in rows if row.min() > 0])))


@fact
def cal_size(opened: OpenCapture, selection: Selection) -> str:
    return str(selection.cal_size)


@fact
def cal_steps(opened: OpenCapture, selection: Selection) -> str:
    return str(selection.cal_steps)
