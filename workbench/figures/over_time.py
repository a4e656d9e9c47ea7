"""One layer's values as they move through sampling."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.records import Array, LayerStats
from workbench.figures.heatmap import colorbar, colour_limits
from workbench.figures.style import (
    BLUE,
    GREEN,
    MAGNITUDE,
    ORANGE,
    PINK,
    UNITS,
    Figure,
    axis,
    figure,
    packed,
    spread,
    timestep_axis,
)
from workbench.statistics import quantiles

RIDGES = 25
KEYS = "Arrow keys move the selected timestep and layer."
OVERLAP = 2.2  # how far one ridge reaches into those above it
SHARES = np.array([0.001, 0.25, 0.5, 0.75, 0.999])


def ridge(stats: LayerStats, timesteps: Array, selected: int, log: bool = True) -> Figure:
    """A histogram a timestep, noise on top, the selected one in another colour."""
    steps = sorted({*spread(len(timesteps), RIDGES), selected})
    heights = ridge_heights(stats.histogram.counts[steps], log)
    rows = [
        _ridge(stats.histogram.centers, height, len(steps) - 1 - row, steps[row] == selected)
        for row, height in enumerate(heights)
    ]
    labelled = spread(len(steps), 9)
    scale = "logarithm of the count" if log else "count"
    return figure(
        rows,
        f"Histograms at {len(steps)} timesteps above one another; height is the {scale}. {KEYS}",
        520,
        meta={"moves": "keys"},
        xaxis=axis(f"activation value ({UNITS})", range=_padded(stats)),
        yaxis=axis(
            "timestep t (noise on top)",
            tickvals=[len(steps) - 1 - i for i in labelled],
            ticktext=[f"{timesteps[steps[i]]:g}" for i in labelled],
            range=[-0.5, len(steps) + OVERLAP],
            showgrid=False,
            zeroline=False,
        ),
    )


def ridge_heights(counts: Array, log: bool) -> Array:
    """Heights [S, B], 0 to 1 in each row."""
    raised = np.log1p(counts) if log else counts.astype(np.float64)
    return raised / np.maximum(raised.max(axis=1, keepdims=True), 1e-12)


def _ridge(x: Array, height: Array, base: float, selected: bool) -> dict[str, Any]:
    used = np.flatnonzero(height)
    part = slice(used[0], used[-1] + 1) if used.size else slice(0, 1)
    shown, up = x[part], base + OVERLAP * height[part]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(np.concatenate([shown[:1], shown, shown[-1:]])),
        "y": packed(np.concatenate([[base], up, [base]])),
        "fill": "toself",
        "fillcolor": "rgba(213,94,0,0.75)" if selected else "rgba(0,114,178,0.38)",
        "line": {"width": 2 if selected else 1, "color": ORANGE if selected else BLUE},
        "hoverinfo": "skip",
    }


def density(stats: LayerStats, timesteps: Array, selected: int, log: bool = True) -> Figure:
    """Counts [B, T] as colours, with the least and the greatest value of each timestep."""
    counts = stats.histogram.counts.T.astype(np.float64)  # [B, T]
    with np.errstate(divide="ignore"):
        z = np.where(counts > 0, np.log10(counts) if log else counts, np.nan)
    steps = np.arange(len(timesteps))
    low, high = colour_limits(z)
    trace = {
        "type": "heatmap",
        "zmin": low,
        "zmax": high,
        "x": steps.tolist(),
        "y": packed(stats.histogram.centers),
        "z": packed(z),
        "colorscale": MAGNITUDE,
        "colorbar": colorbar(z, log, "values per bin (count)"),
        "hovertemplate": "%{y:.3g}<extra></extra>",
    }
    extremes = [
        _line(steps, v, name, ORANGE, "dash")
        for v, name in ((stats.min, "least"), (stats.max, "greatest"))
    ]
    return figure(
        [trace, *extremes],
        f"Density of values at every timestep. {KEYS}",
        520,
        shapes=[selected_line(selected)],
        meta={"moves": "x"},
        xaxis=timestep_axis(timesteps, showgrid=False),
        yaxis=axis(f"activation value ({UNITS})", range=_padded(stats)),
    )


def bands(stats: LayerStats, timesteps: Array, selected: int, log: bool = True) -> Figure:
    """Extremes, percentiles and median of every timestep."""
    steps = np.arange(len(timesteps))
    q = quantiles(stats, SHARES)  # [T, 5]
    return figure(
        [
            _band(steps, stats.min, stats.max, "rgba(0,114,178,0.25)", "least to greatest"),
            _band(steps, q[:, 0], q[:, 4], "rgba(0,114,178,0.45)", "0.1 % to 99.9 %"),
            _band(steps, q[:, 1], q[:, 3], "rgba(86,180,233,0.95)", "middle half"),
            _line(steps, q[:, 2], "median", ORANGE, "solid"),
        ],
        f"Extremes and percentiles at every timestep. {KEYS}",
        520,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 44, "b": 44},
        shapes=[selected_line(selected)],
        meta={"moves": "x"},
        xaxis=timestep_axis(timesteps),
        yaxis=axis(f"activation value ({UNITS})"),
    )


def boxes(stats: LayerStats, timesteps: Array, selected: int, log: bool = True) -> Figure:
    """How wide the channels' ranges are at every timestep: quartiles over the channels."""
    width = stats.channel_max - stats.channel_min  # [T, C]
    low, q1, median, q3, high = np.percentile(width, [0, 25, 50, 75, 100], axis=1)
    trace = {
        "type": "box",
        "x": list(range(len(timesteps))),
        "lowerfence": packed(low),
        "q1": packed(q1),
        "median": packed(median),
        "q3": packed(q3),
        "upperfence": packed(high),
        "line": {"color": BLUE, "width": 1},
        "hoverinfo": "y",
    }
    return figure(
        [trace],
        f"Ranges of {width.shape[1]} channels at every timestep. {KEYS}",
        520,
        shapes=[selected_line(selected)],
        meta={"moves": "x"},
        xaxis=timestep_axis(timesteps),
        yaxis=axis(f"range of a channel, max - min ({UNITS})", rangemode="tozero"),
    )


def calibration_error(curves: dict[str, Array], timesteps: Array, selected: int) -> Figure:
    """SQNR in dB at every timestep, one curve for each way the grid was chosen."""
    steps = np.arange(len(timesteps))
    looks = ((GREEN, "dot"), (BLUE, "solid"), (ORANGE, "dash"), (PINK, "dashdot"))
    data = [
        _line(steps, np.where(np.isfinite(curve), curve, np.nan), name, colour, dash)
        for (name, curve), (colour, dash) in zip(curves.items(), looks, strict=False)
    ]
    return figure(
        data,
        f"Predicted SQNR at every timestep for {len(curves)} ways to choose the grid. {KEYS}",
        330,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        margin={"l": 56, "r": 12, "t": 60, "b": 44},
        shapes=[selected_line(selected)],
        meta={"moves": "x"},
        xaxis=timestep_axis(timesteps),
        yaxis=axis("predicted SQNR (dB)"),
    )


PLOTS = {"ridge": ridge, "density": density, "bands": bands, "boxes": boxes}


def selected_line(step: int) -> dict[str, Any]:
    """A thin line at the selected timestep."""
    line = {"color": ORANGE, "width": 1}
    return {"type": "line", "x0": step, "x1": step, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _line(x: Array, y: Array, name: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(y),
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": f"{name}: %{{y:.3g}}<extra></extra>",
    }


def _band(x: Array, low: Array, high: Array, colour: str, name: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(np.concatenate([x, x[::-1]])),
        "y": packed(np.concatenate([low, high[::-1]])),
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0},
        "name": name,
        "hoverinfo": "skip",
    }


def _padded(stats: LayerStats) -> list[float]:
    low, high = stats.total.min, stats.total.max
    pad = 0.02 * (high - low) or 1.0
    return [low - pad, high + pad]
