"""What quantization did: per layer, and along the way from noise to picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.heatmap import block_ticks
from workbench.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    Figure,
    axis,
    figure,
    packed,
    plain,
)

KINDS = {"conv": (BLUE, "circle"), "linear": (GREEN, "square"), "attention": (PINK, "diamond")}


def layer_sqnr(
    names: Sequence[str],
    kinds: Sequence[str],
    predicted: Array,
    measured: Sequence[float | None] | None = None,
) -> Figure:
    """SQNR in dB of every layer in execution order: predicted, and measured where there is one."""
    data = [_points(names, kinds, predicted, kind) for kind in KINDS if kind in kinds]
    if measured is not None:
        data.append(_measured(names, measured))
    ticks, labels = block_ticks(names)
    return figure(
        data,
        f"Predicted signal-to-noise ratio of {len(names)} layers",
        360,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 40, "b": 90},
        xaxis={"tickvals": ticks, "ticktext": labels, "tickangle": -35, "showgrid": False},
        yaxis=axis("SQNR (dB)"),
    )


def _points(names: Sequence[str], kinds: Sequence[str], values: Array, kind: str) -> dict[str, Any]:
    colour, symbol = KINDS[kind]
    rows = [i for i, other in enumerate(kinds) if other == kind and np.isfinite(values[i])]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": packed(np.asarray(values)[rows]),
        "customdata": [names[i] for i in rows],
        "text": [plain(names[i]) for i in rows],
        "name": f"predicted, {kind}",
        "marker": {"color": colour, "symbol": symbol, "size": 6},
        "hovertemplate": "%{text}<br>%{y:.1f} dB<extra></extra>",
    }


def _measured(names: Sequence[str], values: Sequence[float | None]) -> dict[str, Any]:
    rows = [i for i, v in enumerate(values) if v is not None and np.isfinite(v)]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": [values[i] for i in rows],
        "customdata": [names[i] for i in rows],
        "text": [plain(names[i]) for i in rows],
        "name": "applied: weights and activations together",
        "marker": {"color": ORANGE, "symbol": "x-thin-open", "size": 7, "line": {"width": 1.5}},
        "hovertemplate": "%{text}<br>%{y:.1f} dB applied<extra></extra>",
    }


def divergence(values: Sequence[float]) -> Figure:
    """|x_q - x| / |x| after every step, in percent."""
    trace = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(1, len(values) + 1)),
        "y": [100 * v for v in values],
        "line": {"color": ORANGE, "width": 2},
        "marker": {"size": 4},
        "hovertemplate": "%{y:.3g} %<extra></extra>",
    }
    return figure(
        [trace],
        "Distance between the float and the quantized run after every step",
        300,
        xaxis=axis("sampling step (noise → picture)"),
        yaxis=axis("|x_q - x| / |x| (%)", rangemode="tozero"),
    )
