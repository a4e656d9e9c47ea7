"""How much every layer, quantized alone, disturbs the predicted noise."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.calibration import LEGEND
from workbench.figures.heatmap import block_ticks
from workbench.figures.over_time import selected_line
from workbench.figures.results import KINDS
from workbench.figures.style import ORANGE, Figure, axis, figure, packed, plain

GREY = "#7F8A99"


def sensitivity(
    names: Sequence[str],
    kinds: Sequence[str],
    decibels: Array,
    predicted: Array,
    kept: Collection[str] = (),
    selected: str = "",
) -> Figure:
    """SQNR in dB [L] in execution order, the most sensitive lowest.

    Args:
        decibels: NaN where a layer was not measured.
        predicted: shown for those, by hollow points.
        kept: layers with a ring around their point.
        selected: the layer with a line through it.
    """
    shown = [i for i, value in enumerate(decibels) if np.isfinite(value)]
    data = [
        _points(names, decibels, [i for i in shown if kinds[i] == kind], kind) for kind in KINDS
    ]
    ringed = [i for i in shown if names[i] in kept]
    rest = [i for i in range(len(names)) if i not in shown and np.isfinite(predicted[i])]
    data += [_expected(names, predicted, rest), _rings(decibels, ringed)]
    data = [trace for trace in data if trace["x"]]
    ticks, labels = block_ticks(names)
    return figure(
        data,
        f"Signal-to-noise ratio of the predicted noise with one layer quantized, {len(shown)} of "
        f"{len(names)} layers",
        380,
        showlegend=True,
        legend=LEGEND,
        margin={"l": 56, "r": 12, "t": 28, "b": 90},
        shapes=[selected_line(names.index(selected))] if selected in names else [],
        xaxis={
            "tickvals": ticks,
            "ticktext": labels,
            "tickangle": -35,
            "showgrid": False,
            "zeroline": False,
            "range": [-1, len(names)],
        },
        yaxis=axis("SQNR of the predicted noise (dB)"),
    )


def _points(names: Sequence[str], values: Array, rows: list[int], kind: str) -> dict[str, Any]:
    colour, symbol = KINDS[kind]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": packed(np.asarray(values, dtype=float)[rows]),
        "customdata": [names[i] for i in rows],
        "text": [plain(names[i]) for i in rows],
        "name": {"attention": "attention operand"}.get(kind, kind),
        "marker": {"color": colour, "symbol": symbol, "size": 7},
        "hovertemplate": "%{text}<br>%{y:.1f} dB when quantized alone<extra></extra>",
    }


def _expected(names: Sequence[str], values: Array, rows: list[int]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": packed(np.asarray(values, dtype=float)[rows]),
        "customdata": [names[i] for i in rows],
        "text": [plain(names[i]) for i in rows],
        "name": "not measured: estimate",
        "marker": {"color": GREY, "symbol": "circle-open", "size": 6},
        "hovertemplate": "%{text}<br>about %{y:.1f} dB, not measured<extra></extra>",
    }


def _rings(values: Array, rows: list[int]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": packed(np.asarray(values, dtype=float)[rows]),
        "name": "kept at 8 bits by the button",
        "marker": {"color": ORANGE, "symbol": "circle-open", "size": 14, "line": {"width": 2}},
        "hoverinfo": "skip",
    }
