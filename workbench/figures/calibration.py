"""Calibration samplers beside each other: where their samples lie, in time and among features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    TIME_TITLE,
    Figure,
    axis,
    figure,
    packed,
    plain,
    spread,
)

COLOURS = (BLUE, ORANGE, GREEN, PINK, "#8a6fc9", "#8c7a00", "#1a93b8", "#a65a2e")
SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star", "x", "pentagon")
DASHES = (
    "solid",
    "dash",
    "dot",
    "dashdot",
    "longdash",
    "longdashdot",
    "2px,6px",
    "12px,3px,2px,3px,2px,3px",
)
NEUTRAL = "#7a869a"
LARGEST = 15  # pixels of a marker
FILLED = 0.86  # of the space between two timesteps is taken by bars
MARGIN = {"l": 56, "r": 12, "t": 28, "b": 44}
# Held to the figure, not to the plot: it takes the room it needs, also when the width changes.
LEGEND = {"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0}


@dataclass(frozen=True)
class Series:
    """One set's numbers, in its colour."""

    label: str
    slot: int
    timesteps: Array  # [T]
    values: Array  # [T]


@dataclass(frozen=True)
class Cloud:
    """One set's samples on a plane."""

    label: str
    slot: int
    points: Array  # [n, 2]
    timesteps: Array  # [n]


def look(slot: int) -> tuple[str, str, str]:
    """Colour, symbol and dash of a set: in the first eight, one of them tells it from the others.

    The next eight have the same colours with other symbols and dashes, and so on.
    """
    colour, turn = slot % len(COLOURS), slot // len(COLOURS)
    shifted = (colour + turn) % len(SYMBOLS)
    return COLOURS[colour], SYMBOLS[shifted], DASHES[shifted]


def empty(text: str, height: int = 130) -> Figure:
    """A frame that says what to do before there is anything to draw."""
    note = {"text": text, "xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5}
    frame = {"type": "rect", "xref": "paper", "yref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 1}
    frame["line"] = {"color": NEUTRAL, "width": 1, "dash": "dot"}
    hidden = {"visible": False}
    return figure(
        [],
        text or "Nothing to draw yet",
        height,
        margin={"l": 12, "r": 12, "t": 12, "b": 12},
        annotations=[{**note, "showarrow": False, "font": {"size": 14}}] if text else [],
        shapes=[frame] if text else [],
        xaxis=hidden,
        yaxis=hidden,
    )


def counts(
    sets: Sequence[Series],
    density: Series | None,
    diversity: Series | None,
    selected: float | None,
    as_bars: bool = True,
) -> Figure:
    """Samples at each timestep, over density and diversity of the run on the same axis."""
    draw = _bar if as_bars else _steps
    data = [draw(one, row, len(sets)) for row, one in enumerate(sets)]
    looks = ((density, "solid", "circle-open"), (diversity, "dot", "square-open"))
    data += [_share(one, dash, symbol) for one, dash, symbol in looks if one is not None]
    return figure(
        data,
        f"Samples at each timestep of {len(sets)} calibration sets, and density and diversity of "
        "the steps",
        440,
        showlegend=True,
        margin=MARGIN,
        legend=LEGEND,
        barmode="overlay",
        shapes=[_line_at(selected)] if selected is not None else [],
        xaxis=time_axis([*sets, *(s for s in (density, diversity) if s)], anchor="y2"),
        yaxis=axis("samples (count)", domain=[0.42, 1], rangemode="tozero"),
        yaxis2=axis("scaled, 0 to 1", domain=[0, 0.3], range=[-0.08, 1.08], dtick=0.5),
    )


def time_axis(sets: Sequence[Series], **settings: Any) -> dict[str, Any]:
    """Timesteps themselves, noise on the left: sets of different steps share this axis."""
    every = np.concatenate([one.timesteps for one in sets]) if sets else np.array([0.0, 1.0])
    pad = max((spacing(one.timesteps) for one in sets), default=1.0) * 0.6
    limits = [float(every.max() + pad), float(every.min() - pad)]
    shown = sets[0].timesteps[spread(len(sets[0].timesteps), 6)].tolist() if sets else []
    ticks = {"tickvals": shown, "ticktext": [f"{t:g}" for t in shown], "tickangle": 0}
    return axis(TIME_TITLE, range=limits, zeroline=False, **ticks, **settings)


def spacing(timesteps: Array) -> float:
    """The least distance of two timesteps; 1 where there is one only."""
    apart = np.diff(np.unique(timesteps))
    return float(apart.min()) if apart.size else 1.0


def scaled(values: Array) -> Array:
    """Values moved and scaled to 0 .. 1, as TDAC weighs them; zeros where all are equal."""
    values = np.asarray(values, dtype=np.float64)
    span = np.ptp(values)
    return (values - values.min()) / span if span > 0 else np.zeros_like(values)


def _bar(one: Series, row: int, count: int) -> dict[str, Any]:
    """Bars side by side in the order of the sets, as wide as their own steps allow."""
    width = FILLED * spacing(one.timesteps) / count
    place = (count - 1) / 2 - row  # the axis runs backwards: the first set lies at greater t
    return {
        "type": "bar",
        "x": packed(one.timesteps + place * width),
        "y": packed(one.values),
        "width": width,
        "customdata": one.timesteps.tolist(),
        "name": plain(one.label),
        "marker": {"color": look(one.slot)[0]},
        "hovertemplate": f"{plain(one.label)}<br>t = %{{customdata:.6~g}}: %{{y}} samples"
        "<extra></extra>",
    }


def _steps(one: Series, row: int, count: int) -> dict[str, Any]:
    colour, symbol, dash = look(one.slot)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": packed(one.timesteps),
        "y": packed(one.values),
        "name": plain(one.label),
        "line": {"color": colour, "width": 2, "dash": dash, "shape": "hvh"},
        "marker": {"symbol": symbol, "size": 7},
        "hovertemplate": f"{plain(one.label)}<br>t = %{{x:.6~g}}: %{{y}} samples<extra></extra>",
    }


def _share(one: Series, dash: str, symbol: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": packed(one.timesteps),
        "y": packed(scaled(one.values)),
        "yaxis": "y2",
        "name": plain(one.label),
        "line": {"color": NEUTRAL, "width": 2, "dash": dash},
        "marker": {"symbol": symbol, "size": 6},
        "customdata": [float(f"{v:.4g}") for v in one.values],
        "hovertemplate": f"{plain(one.label)}<br>t = %{{x:.6~g}}: %{{customdata}}<extra></extra>",
    }


def scatter(background: Array, clouds: Sequence[Cloud], title: str) -> Figure:
    """Chosen samples [n, 2] of every set on top of all steps of held-out runs [m, 2]."""
    grey = {"color": NEUTRAL, "symbol": "circle", "size": 5, "opacity": 0.45}
    data = [_points(background, "held-out runs, all steps", grey)]
    for row, cloud in enumerate(clouds):
        colour, symbol, _ = look(cloud.slot)
        # Sets that share runs share samples: the later ones are drawn inside the earlier ones.
        size = LARGEST - row * (LARGEST - 5) / max(len(clouds), 2)
        marker = {"color": colour, "symbol": f"{symbol}-open", "size": size, "line": {"width": 2}}
        trace = _points(cloud.points, cloud.label, marker)
        trace["text"] = [f"t = {t:g}" for t in cloud.timesteps]
        trace["hovertemplate"] = f"{plain(cloud.label)}<br>%{{text}}<extra></extra>"
        data.append(trace)
    return figure(
        data,
        f"{title} of features: samples of {len(clouds)} calibration sets on top of whole runs",
        430,
        showlegend=True,
        margin=MARGIN,
        legend=LEGEND,
        xaxis=axis(f"{title}, first axis (no unit)", zeroline=False),
        yaxis=axis(f"{title}, second axis (no unit)", zeroline=False),
    )


def _points(points: Array, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": packed(points[:, 0]),
        "y": packed(points[:, 1]),
        "name": plain(name),
        "marker": marker,
        "hovertemplate": f"{plain(name)}<extra></extra>",
    }


def _line_at(t: float) -> dict[str, Any]:
    line = {"color": ORANGE, "width": 1}
    return {"type": "line", "x0": t, "x1": t, "yref": "paper", "y0": 0, "y1": 1, "line": line}
