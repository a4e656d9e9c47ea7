"""Facts of Shortcuts: two halves, and one grid against two."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.quant.whatif import qparams_from_range
from analysis.shortcuts import SEPARATED, SIGNIFICANT
from workbench.captures import OpenCapture
from workbench.figures.style import number
from workbench.lessons.facts import decibels, fact
from workbench.selection import Selection

BITS = 4  # that the tab shows


def report(opened: OpenCapture, selection: Selection) -> Any:
    """The report of the shortcut that the tab shows."""
    from workbench.views.shortcuts import report_of

    return report_of(opened, selection)


def reports(opened: OpenCapture, selection: Selection) -> list[Any]:
    """All reports at the selected timestep."""
    from workbench.views.shortcuts import reports_at

    return reports_at(opened, selection.step)


def gain(one: Any) -> float:
    """dB that a grid of its own gives the narrow half."""
    return one.sqnr_db_small_half_split[BITS] - one.sqnr_db_small_half_joint[BITS]


@fact
def shortcuts(opened: OpenCapture, selection: Selection) -> str:
    return str(len(opened.capture.shortcuts))


@fact
def two_humped(opened: OpenCapture, selection: Selection) -> str:
    return str(sum(one.bimodal for one in reports(opened, selection)))


@fact
def shortcut_bits(opened: OpenCapture, selection: Selection) -> str:
    return str(BITS)


@fact
def ratio(opened: OpenCapture, selection: Selection) -> str:
    return number(report(opened, selection).range_ratio)


@fact
def narrow_half(opened: OpenCapture, selection: Selection) -> str:
    one = report(opened, selection)
    return "skip" if one.range_skip <= one.range_h else "h"


@fact
def wide_half(opened: OpenCapture, selection: Selection) -> str:
    return "h" if narrow_half(opened, selection) == "skip" else "skip"


@fact
def shortcut_levels(opened: OpenCapture, selection: Selection) -> str:
    return str(2**BITS)


@fact
def narrow_levels(opened: OpenCapture, selection: Selection) -> str:
    """How many levels of a grid that fits both halves the narrow one can reach."""
    one = report(opened, selection)
    h, skip = (opened.capture[f"{one.layer}#{tap}"].at(selection.step) for tap in ("h", "skip"))
    narrow = skip if one.range_skip <= one.range_h else h
    low, high = min(h.min, skip.min, 0.0), max(h.max, skip.max, 0.0)
    scale, zero_point = qparams_from_range(low, high, BITS)
    ends = np.rint(np.array([narrow.min, narrow.max]) / scale) + zero_point
    reached = np.clip(ends, 0, 2**BITS - 1)
    return str(int(np.ptp(reached)) + 1)


@fact
def shared_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(report(opened, selection).sqnr_db_small_half_joint[BITS])


@fact
def own_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(report(opened, selection).sqnr_db_small_half_split[BITS])


@fact
def gained_db(opened: OpenCapture, selection: Selection) -> str:
    return decibels(gain(report(opened, selection)))


@fact
def dip_p(opened: OpenCapture, selection: Selection) -> str:
    return number(report(opened, selection).dip_p)


@fact
def apart(opened: OpenCapture, selection: Selection) -> str:
    return number(report(opened, selection).ashman_d)


@fact
def least_gain(opened: OpenCapture, selection: Selection) -> str:
    return decibels(min(gain(one) for one in reports(opened, selection)))


@fact
def most_gain(opened: OpenCapture, selection: Selection) -> str:
    return decibels(max(gain(one) for one in reports(opened, selection)))


@fact
def dip_limit(opened: OpenCapture, selection: Selection) -> str:
    return number(SIGNIFICANT)


@fact
def apart_limit(opened: OpenCapture, selection: Selection) -> str:
    return number(SEPARATED)
