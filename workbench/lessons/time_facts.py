"""Facts of Over time: what one grid costs at the timesteps it was not made for."""

from __future__ import annotations

import numpy as np

from analysis.records import Array
from workbench.captures import OpenCapture
from workbench.lessons.facts import decibels, fact, stats_of
from workbench.selection import Selection


def curves(opened: OpenCapture, selection: Selection) -> tuple[Array, Array, Array]:
    """SQNR in dB [T]: own grids, one grid over all timesteps, one of the selected timestep."""
    from workbench.views.over_time import calibration_curves

    stats, timesteps = stats_of(opened, selection), opened.capture.timesteps
    own, everything, one = calibration_curves(stats, selection, timesteps).values()
    return own, everything, one


def cost_elsewhere(opened: OpenCapture, selection: Selection) -> Array:
    """dB [T] that the selected timestep's grid loses against each timestep's own."""
    own, _, one = curves(opened, selection)
    return np.where(np.isfinite(own) & np.isfinite(one), own - one, 0)


def cost_of_sharing(opened: OpenCapture, selection: Selection) -> Array:
    """dB [T] that one grid over all timesteps loses against each timestep's own."""
    own, everything, _ = curves(opened, selection)
    return np.where(np.isfinite(own) & np.isfinite(everything), own - everything, 0)


@fact
def one_loses(opened: OpenCapture, selection: Selection) -> str:
    return decibels(cost_elsewhere(opened, selection).max())


@fact
def one_loses_at(opened: OpenCapture, selection: Selection) -> str:
    place = cost_elsewhere(opened, selection).argmax()
    return f"{opened.capture.timesteps[place]:g}"


@fact
def one_loses_bits(opened: OpenCapture, selection: Selection) -> str:
    return f"{cost_elsewhere(opened, selection).max() / (20 * np.log10(2)):.1f}"


@fact
def sharing_loses(opened: OpenCapture, selection: Selection) -> str:
    return decibels(cost_of_sharing(opened, selection).max())


@fact
def one_worst(opened: OpenCapture, selection: Selection) -> str:
    return decibels(curves(opened, selection)[2].min())


@fact
def all_worst(opened: OpenCapture, selection: Selection) -> str:
    return decibels(curves(opened, selection)[1].min())
