"""Rows of a sweep as points: what they cost against how good they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.sweep_rows import SweepRow, pareto_front
from workbench.figures.style import BLUE, GREEN, ORANGE, PINK, Figure, axis, figure, plain

LOOKS = (  # of methods: colour, symbol, and where the label stands: methods lie close together
    (BLUE, "circle", "bottom center"),
    (GREEN, "square", "top center"),
    (PINK, "diamond", "middle left"),
    ("#E69F00", "triangle-up", "middle right"),
    ("#56B4E9", "cross", "top left"),
)


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
    "size": Measure("size_mb", "Size", "size", "MB"),
    "bits": Measure("product", "Weight bits x activation bits", "weight x activation", "bits²"),
    "seconds": Measure("seconds", "Time to calibrate, quantize and sample", "time", "s"),
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
    methods = list(dict.fromkeys(row.method for row in rows))
    data = [_front(rows, [i for i in drawn if front[i]], cost, gain)]
    for place, method in enumerate(methods):
        look = LOOKS[place % len(LOOKS)]
        data.append(_points(rows, [i for i in drawn if rows[i].method == method], cost, gain, look))
    more = "higher" if gain.more_is_better else "lower"
    return figure(
        [trace for trace in data if trace["x"]],
        f"{gain.title} against {cost.title.lower()} of {len(drawn)} configurations",
        420,
        showlegend=True,
        margin={"l": 60, "r": 16, "t": 44, "b": 50},
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


def _points(
    rows: Sequence[SweepRow],
    chosen: list[int],
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
        "text": [plain(label_of(rows[i])) for i in chosen],
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
