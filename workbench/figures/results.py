"""What quantization did: per layer, and along the way from noise to picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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

LAYERS = {"tickangle": -35, "showgrid": False, "zeroline": False}  # an axis along layers
KINDS = {"conv": (BLUE, "circle"), "linear": (GREEN, "square"), "attention": (PINK, "diamond")}


def layer_sqnr(
    names: Sequence[str],
    kinds: Sequence[str],
    predicted: Array,
    own: Collection[str] = (),
) -> Figure:
    """Predicted SQNR in dB of every layer in execution order; those with bits of their own ringed.

    Args:
        own: layers that have bits of their own.
    """
    data = [_points(names, kinds, predicted, kind) for kind in KINDS if kind in kinds]
    data += [_ringed(names, predicted, own)] if own else []
    ticks, labels = block_ticks(names)
    return figure(
        data,
        f"Predicted signal-to-noise ratio of {len(names)} layers",
        360,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 40, "b": 90},
        xaxis={**LAYERS, "tickvals": ticks, "ticktext": labels},
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


def _ringed(names: Sequence[str], values: Array, own: Collection[str]) -> dict[str, Any]:
    rows = [i for i, name in enumerate(names) if name in own and np.isfinite(values[i])]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows,
        "y": packed(np.asarray(values)[rows]),
        "name": "bits of its own",
        "marker": {"color": ORANGE, "symbol": "circle-open", "size": 12, "line": {"width": 2}},
        "hoverinfo": "skip",
    }


LINES = ((ORANGE, "solid"), (BLUE, "dash"), (GREEN, "dot"), (PINK, "dashdot"))


def agreement(
    predicted: Mapping[str, float], into: Mapping[str, float], out: Mapping[str, float]
) -> Figure:
    """Predicted against measured SQNR in dB of every layer; on the diagonal they agree.

    Args:
        predicted: layer -> of its rounded input, from histograms.
        into, out: layer -> measured, of its rounded input and of its output.
    """
    traces = [
        _pairs(predicted, into, "input alone, as predicted", BLUE, "circle"),
        _pairs(predicted, out, "output, with rounded weights", ORANGE, "x-thin-open"),
    ]
    ends = [v for trace in traces for side in ("x", "y") for v in trace[side]]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "x": [low, high],
        "y": [low, high],
        "line": {"color": GREEN, "width": 1, "dash": "dash"},
        "name": "equal",
        "hoverinfo": "skip",
    }
    return figure(
        [diagonal, *traces],
        f"Predicted against measured signal-to-noise ratio of {len(traces[0]['x'])} layers",
        360,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 40, "b": 44},
        xaxis=axis("predicted SQNR of the input (dB)"),
        yaxis=axis("measured (dB)"),
    )


def _pairs(
    predicted: Mapping[str, float],
    measured: Mapping[str, float],
    name: str,
    colour: str,
    symbol: str,
) -> dict[str, Any]:
    layers = [
        layer
        for layer, value in measured.items()
        if np.isfinite(value) and np.isfinite(predicted.get(layer, np.nan))
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [float(predicted[layer]) for layer in layers],
        "y": [float(measured[layer]) for layer in layers],
        "customdata": layers,
        "text": [plain(layer) for layer in layers],
        "name": name,
        "marker": {"color": colour, "symbol": symbol, "size": 7, "line": {"width": 1.5}},
        "hovertemplate": "%{text}<br>predicted %{x:.1f} dB, measured %{y:.1f} dB<extra></extra>",
    }


def divergence(runs: Mapping[str, Sequence[float]]) -> Figure:
    """|x_q - x| / |x| after every step, in percent, of every quantized run by its label."""
    data = [
        _line(plain(label), values, *LINES[i % len(LINES)])
        for i, (label, values) in enumerate(runs.items())
    ]
    return figure(
        data,
        "Distance between the float and the quantized run after every step",
        300,
        showlegend=len(runs) > 1,
        margin={"l": 56, "r": 12, "t": 40 if len(runs) > 1 else 12, "b": 44},
        xaxis=_step_axis(max(map(len, runs.values()), default=1)),
        yaxis=axis("|x_q - x| / |x| (%)", rangemode="tozero"),
    )


def error_parts(
    total: Sequence[float], fresh: Sequence[float], inherited: Sequence[float]
) -> Figure:
    """The relative error after every step, and its two parts, in percent of |x|."""
    data = [
        _line("whole error", total, ORANGE, "solid"),
        _line("fresh: made in this step", fresh, BLUE, "dash"),
        _line("inherited from earlier steps", inherited, GREEN, "dot"),
    ]
    return figure(
        data,
        "Error after every sampling step, with what is fresh and what is inherited",
        300,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 40, "b": 44},
        xaxis=_step_axis(len(total)),
        yaxis=axis("share of |x| (%)", rangemode="tozero"),
    )


def _step_axis(steps: int) -> dict[str, Any]:
    """Whole steps only, about ten of them with a number."""
    return axis("sampling step (noise → picture)", tick0=1, dtick=max(1, steps // 10))


def _line(name: str, values: Sequence[float], colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(range(1, len(values) + 1)),
        "y": [100 * v for v in values],
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"size": 4},
        "hovertemplate": "%{y:.3g} %<extra></extra>",
    }
