"""Rows of a sweep as points: what they cost against how good they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.sweep_rows import SweepRow, pareto_front
from workbench.figures.calibration import LEGEND
from workbench.figures.style import BLUE, GREEN, ORANGE, PINK, Figure, axis, figure, plain

LOOKS = (  # of methods: colour, symbol, and where the label stands: methods lie close together
    (BLUE, "circle", "bottom center"),
    (GREEN, "square", "top center"),
    (PINK, "diamond", "middle left"),
    ("#E69F00", "triangle-up", "middle right"),
    ("#56B4E9", "cross", "top left"),
)


ROOM = (0.2, 0.055)  # of a label, as shares of the plot's width and height
AWAY = {"top": (0, 0.05), "bottom": (0, -0.05), "middle": (0, 0), "left": (-0.1, 0)}  # from a point
AWAY |= {"right": (0.1, 0), "center": (0, 0)}


@dataclass(frozen=True)
class Measure:
    """An axis: the field of a row, its title, and whether more of it is better."""

    field: str
    title: str
    short: str
    unit: str
    more_is_better: bool = False

    def of(self, row: SweepRow) -> float | None:
        """The row's value; `None` where there is none."""
        value = getattr(row, self.field)
        return None if value is None or math.isnan(value) else float(value)

    def gain(self, row: SweepRow) -> float | None:
        """The value, turned so that more is better."""
        value = self.of(row)
        return value if value is None or self.more_is_better else -value


COSTS = {
    "size": Measure("size_mb", "Size", "Size", "MB"),
    "bits": Measure("product", "Weight bits x activation bits", "Weight x activation", "bits²"),
    "seconds": Measure("seconds", "Time to calibrate, quantize and sample", "Time", "s"),
}
GAINS = {
    "psnr": Measure("psnr_db", "PSNR to the float pictures", "PSNR", "dB", more_is_better=True),
    "ssim": Measure("ssim", "SSIM to the float pictures", "SSIM", "of 1", more_is_better=True),
    "frechet": Measure("frechet", "Fréchet distance to the data", "Fréchet distance", "no unit"),
}


def front_of(rows: Sequence[SweepRow], x: str, y: str) -> list[bool]:
    """Which rows no other row beats in cost and quality."""
    gains = [GAINS[y].gain(row) for row in rows]
    return pareto_front([COSTS[x].of(row) for row in rows], gains)


def pareto(rows: Sequence[SweepRow], x: str, y: str) -> Figure:
    """A point a row, in its method's look, and a line along the Pareto front.

    Each point carries the row's position as its `customdata`.
    """
    cost, gain = COSTS[x], GAINS[y]
    drawn = [i for i, row in enumerate(rows) if _both(cost, gain, row)]
    front = front_of(rows, x, y)
    named = _labelled(rows, drawn, front, cost, gain)
    data = [_front(rows, [i for i in drawn if front[i]], cost, gain)]
    for method, look in _looks(rows).items():
        chosen = [i for i in drawn if rows[i].method == method]
        data.append(_points(rows, chosen, named, cost, gain, look))
    more = "higher" if gain.more_is_better else "lower"
    return figure(
        [trace for trace in data if trace["x"]],
        f"{gain.title} against {cost.title.lower()} of {len(drawn)} configurations",
        420,
        showlegend=True,
        legend=LEGEND,
        margin={"l": 60, "r": 16, "t": 36, "b": 50},
        xaxis=axis(f"{cost.short} ({cost.unit}), less is better"),
        yaxis=axis(f"{gain.short} ({gain.unit}), {more} is better"),
        shapes=_float_line(rows, y),
        annotations=_float_word(rows, y),
    )


def label_of(row: SweepRow) -> str:
    """The plan, and how many layers have bits of their own."""
    return row.plan + (f" +{len(row.overrides)}" if row.overrides else "")


def _both(cost: Measure, gain: Measure, row: SweepRow) -> bool:
    values = cost.of(row), gain.of(row)
    return row.error is None and all(v is not None and math.isfinite(v) for v in values)


def _looks(rows: Sequence[SweepRow]) -> dict[str, tuple[str, str, str]]:
    """Every method's look, by the order in which they came."""
    methods = dict.fromkeys(row.method for row in rows)
    return {method: LOOKS[place % len(LOOKS)] for place, method in enumerate(methods)}


def _labelled(
    rows: Sequence[SweepRow], drawn: list[int], front: list[bool], cost: Measure, gain: Measure
) -> set[int]:
    """Points whose labels have room, those on the front first; the others say it on hovering."""
    if not drawn:
        return set()
    values = np.array([[cost.of(rows[i]), gain.of(rows[i])] for i in drawn], dtype=float)
    span = np.ptp(values, axis=0)
    places = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    looks = _looks(rows)
    sides = [looks[rows[i].method][2].split() for i in drawn]
    places += [np.sum([AWAY[word] for word in side], axis=0) for side in sides]  # [N, 2]
    kept: list[int] = []
    for place in sorted(range(len(drawn)), key=lambda p: not front[drawn[p]]):
        apart = np.abs(places[kept] - places[place]) > ROOM  # [K, 2]
        if apart.any(axis=1).all():
            kept.append(place)
    return {drawn[place] for place in kept}


def _points(
    rows: Sequence[SweepRow],
    chosen: list[int],
    named: set[int],
    cost: Measure,
    gain: Measure,
    look: tuple[str, str, str],
) -> dict[str, Any]:
    colour, symbol, beside = look
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [cost.of(rows[i]) for i in chosen],
        "y": [gain.of(rows[i]) for i in chosen],
        "customdata": [str(i) for i in chosen],
        "text": [plain(label_of(rows[i])) if i in named else "" for i in chosen],
        "textposition": beside,
        "cliponaxis": False,
        "hovertext": [plain(_hover(rows[i], cost, gain)) for i in chosen],
        "name": plain(rows[chosen[0]].method) if chosen else "",
        "marker": {"color": colour, "symbol": symbol, "size": 10},
        "hovertemplate": "%{hovertext}<extra></extra>",
    }


def _hover(row: SweepRow, cost: Measure, gain: Measure) -> str:
    return (
        f"{row.method} {label_of(row)}, calibrated on {row.calibration}: {gain.of(row):.3g} "
        f"{gain.unit} at {cost.of(row):.3g} {cost.unit}"
    )


def _front(
    rows: Sequence[SweepRow], chosen: list[int], cost: Measure, gain: Measure
) -> dict[str, Any]:
    points = sorted((cost.of(rows[i]), gain.of(rows[i])) for i in chosen)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in points],
        "y": [y for _, y in points],
        "name": "Pareto front",
        "line": {"color": ORANGE, "width": 2, "dash": "dot"},
        "hoverinfo": "skip",
    }


def _float_value(rows: Sequence[SweepRow], y: str) -> float | None:
    known = (row.frechet_float for row in rows if y == "frechet")
    return next((value for value in known if value is not None and math.isfinite(value)), None)


def _float_line(rows: Sequence[SweepRow], y: str) -> list[dict[str, Any]]:
    value = _float_value(rows, y)
    if value is None:
        return []
    line = {"color": "#808080", "width": 1, "dash": "dash"}
    return [
        {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value, "line": line}
    ]


def _float_word(rows: Sequence[SweepRow], y: str) -> list[dict[str, Any]]:
    value = _float_value(rows, y)
    if value is None:
        return []
    place = {"xref": "paper", "x": 1, "xanchor": "right", "y": value, "yanchor": "bottom"}
    return [{"text": "float model", "showarrow": False, **place}]
