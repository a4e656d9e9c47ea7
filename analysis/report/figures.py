"""The report's figures: plain dictionaries as plotly.js takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.quant.model import LayerRow
from analysis.quant.phase import LossPoint

Figure = dict[str, Any]
BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
PARTS = {
    "divergence": ("all of it", ORANGE, "solid"),
    "inherited": ("inherited from earlier steps", BLUE, "dash"),
    "fresh": ("fresh in this step", GREEN, "dot"),
}


def divergence(values: Mapping[str, Any]) -> Figure:
    """Relative distance in percent after every step, and its parts where they were measured."""
    known = [(values[key], *PARTS[key]) for key in PARTS if values.get(key)]
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": list(range(1, len(curve) + 1)),
            "y": [_finite(100 * v) for v in curve],
            "name": name,
            "line": {"color": colour, "dash": dash, "width": 2},
            "marker": {"size": 5},
        }
        for curve, name, colour, dash in known
    ]
    return _figure(data, "sampling step (noise to picture)", "|x_q - x| / |x| (%)", len(data) > 1)


def layers(rows: Sequence[LayerRow]) -> Figure:
    """SQNR in dB of every layer, in execution order; layers without loss have no point."""
    known = [(i, row) for i, row in enumerate(rows) if _finite(row.sqnr_db) is not None]
    data = {
        "type": "scatter",
        "mode": "markers",
        "x": [i for i, _ in known],
        "y": [row.sqnr_db for _, row in known],
        "text": [plain(row.name) for _, row in known],
        "marker": {"color": BLUE, "size": 7},
        "hovertemplate": "%{text}<br>%{y:.1f} dB<extra></extra>",
    }
    return _figure([data], "layer, in order of execution", "SQNR (dB)", False)


def losses(points: Sequence[LossPoint]) -> Figure:
    """Loss of every block while it learned, by its own largest one: all end below 1."""
    curves: dict[tuple[str, str], list[LossPoint]] = {}
    for point in points:
        curves.setdefault((point.phase, point.unit), []).append(point)
    phases = list(dict.fromkeys(phase for phase, _ in curves))
    colours = dict(zip(phases, (BLUE, ORANGE, GREEN, PINK), strict=False))
    data = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [100 * p.iteration / max(p.iterations, 1) for p in curve],
            "y": [_share(p.loss, curve) for p in curve],
            "name": plain(f"{phase}: {unit}"),
            "line": {"color": colours.get(phase, PINK), "width": 1},
            "hovertemplate": "%{x:.0f} %: %{y:.3g}",
        }
        for (phase, unit), curve in curves.items()
    ]
    return _figure(data, "iterations (%)", "loss by the block's largest", False)


def plain(text: str) -> str:
    """Text that plotly shows as it is: it would read markup otherwise."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _share(loss: float, curve: Sequence[LossPoint]) -> float | None:
    largest = max((p.loss for p in curve if math.isfinite(p.loss)), default=0.0)
    return _finite(loss / largest) if largest > 0 else None


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _figure(data: list[Any], x: str, y: str, legend: bool) -> Figure:
    layout = {
        "height": 340,
        "margin": {"l": 64, "r": 16, "t": 30, "b": 48},
        "showlegend": legend,
        "legend": {"orientation": "h", "y": 1.12},
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y}},
    }
    return {"data": data, "layout": layout}
