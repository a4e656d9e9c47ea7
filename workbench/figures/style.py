"""Colours, axes and number formats that all figures share."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from analysis.records import Array

Figure = dict[str, Any]

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
MAGNITUDE = "Cividis"
UNITS = "activation units"
TIME_TITLE = "timestep t (noise → picture)"


def figure(data: list[dict[str, Any]], label: str, height: int, **layout: Any) -> Figure:
    """A figure with the page's margins; `label` says in words what a screen reader hears."""
    meta = {"label": label, **layout.pop("meta", {})}
    base = {
        "height": height,
        "margin": {"l": 56, "r": 12, "t": 12, "b": 44},
        "font": {"size": 13, "family": "system-ui, sans-serif"},
        "showlegend": False,
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "hovermode": "closest",
        "meta": meta,
    }
    return {"data": data, "layout": {**base, **layout}}


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """An axis with a title that says its unit."""
    return {"title": {"text": title, "standoff": 8}, **settings}


def timestep_axis(timesteps: Array, **settings: Any) -> dict[str, Any]:
    """The order of sampling from left to right, with timesteps as labels."""
    shown = spread(len(timesteps), 6)
    labels = [f"{timesteps[i]:g}" for i in shown]
    return axis(TIME_TITLE, tickvals=shown, ticktext=labels, tickangle=0, **settings)


def spread(count: int, ticks: int) -> list[int]:
    """Up to `ticks` positions from first to last, evenly spread."""
    return sorted({int(i) for i in np.linspace(0, count - 1, min(ticks, count)).round()})


def packed(values: Any) -> dict[str, str]:
    """Numbers as plotly's typed arrays: a third of the bytes of JSON, and quicker to read."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    out = {"dtype": "f4", "bdata": base64.b64encode(array.tobytes()).decode()}
    if array.ndim > 1:
        out["shape"] = ", ".join(str(n) for n in array.shape)
    return out


def unpacked(value: dict[str, str]) -> Array:
    """What `packed` packed."""
    array = np.frombuffer(base64.b64decode(value["bdata"]), dtype=value["dtype"])
    return array.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else array


def plain(text: str) -> str:
    """Text that plotly shows as it is: it would read markup otherwise."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def number(value: float) -> str:
    """A number with three significant digits, for people."""
    if not np.isfinite(value):
        return "n/a" if np.isnan(value) else ("∞" if value > 0 else "-∞")
    return f"{value:.3g}"
