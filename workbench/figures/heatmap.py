"""Layers x timesteps, coloured by one statistic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.style import MAGNITUDE, Figure, figure, packed, plain, timestep_axis

ROW_HEIGHT = 4.0  # pixels


def heatmap(
    values: Array,
    names: Sequence[str],
    timesteps: Array,
    title: str,
    unit: str,
    log: bool = False,
) -> Figure:
    """Cells [L, T] with the first layer on top; `log` colours by the logarithm.

    The layout's `meta.rows` holds the layers' names, so that a click can say what it hit.
    """
    colours = log_or_nan(values) if log else np.where(np.isfinite(values), values, np.nan)
    trace = {
        "type": "heatmap",
        "z": packed(colours),
        "colorscale": MAGNITUDE,
        "colorbar": colorbar(colours, log, unit),
        "customdata": packed(values),
        "hovertemplate": f"%{{customdata:.3g}} {plain(unit)}<extra></extra>",
        "hoverongaps": False,
    }
    low, high = colour_limits(colours)
    ticks, labels = block_ticks(names)
    return figure(
        [{**trace, "zmin": low, "zmax": high}],
        f"{title} of {len(names)} layers at {len(timesteps)} timesteps. Arrow keys move the "
        "selected cell.",
        int(max(260, min(760, 90 + ROW_HEIGHT * len(names)))),
        margin={"l": 8, "r": 8, "t": 8, "b": 44},
        xaxis=timestep_axis(timesteps, showgrid=False, zeroline=False),
        yaxis={
            "autorange": "reversed",
            "tickvals": ticks,
            "ticktext": labels,
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
            "tickfont": {"size": 11},
        },
        meta={"rows": list(names), "columns": len(timesteps)},
    )


def log_or_nan(values: Array) -> Array:
    """log10, and a gap where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((values > 0) & np.isfinite(values), np.log10(values), np.nan)


def colour_limits(colours: Array) -> tuple[float, float]:
    """The 1st and 99th percentile, so that one extreme layer does not flatten all others."""
    finite = colours[np.isfinite(colours)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, [1, 99])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def colorbar(colours: Array, log: bool, unit: str) -> dict[str, Any]:
    """A legend whose ticks are plain numbers also where the colours are logarithms."""
    bar: dict[str, Any] = {
        "title": {"text": plain(unit), "side": "top", "font": {"size": 12}},
        "orientation": "h",
        "thickness": 12,
        "ypad": 4,
        "len": 1.0,
        "x": 0.5,
        "y": 1.0,
        "yanchor": "bottom",
        "xanchor": "center",
    }
    if log:
        low, high = colour_limits(colours)
        ticks = np.linspace(low, high, 5)
        bar |= {
            "tickvals": ticks.tolist(),
            "ticktext": [f"{float(f'{10**t:.2g}'):g}" for t in ticks],
        }
    return bar


def block_ticks(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """A tick at the first layer of every block; all names where there are few layers."""
    if len(names) <= 24:
        return list(range(len(names))), [plain(shortened(name)) for name in names]
    ticks, labels, row = [], [], 0
    for block, members in groupby(names, key=block_of):
        size = len(list(members))
        if size >= 5:
            ticks.append(row)
            labels.append(plain(shortened(block, 16)))
        row += size
    return ticks, labels


def block_of(name: str) -> str:
    """The part of the network a layer belongs to: `down_blocks.1` of `down_blocks.1.resnets…`."""
    parts = name.split("#")[0].split(".")
    return ".".join(parts[:2]) if parts[0].endswith("_blocks") else parts[0]


def shortened(name: str, most: int = 34) -> str:
    """The end of a long name, which tells layers apart."""
    return name if len(name) <= most else "…" + name[-(most - 1) :]
