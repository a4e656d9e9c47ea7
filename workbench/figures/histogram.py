"""One tensor's histogram with the quantization grid on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.quant.whatif import estimate_range, qparams_from_range
from analysis.records import ActivationStats, Array
from workbench.figures.style import BLUE, GREEN, ORANGE, UNITS, Figure, axis, figure, packed

FEW_LEVELS = 32  # up to these many are drawn through the whole plot


@dataclass(frozen=True)
class Levels:
    """A uniform grid: its numbers and its levels [2^bits]."""

    scale: float
    zero_point: int
    bits: int

    @property
    def values(self) -> Array:
        return self.scale * (np.arange(2**self.bits) - self.zero_point)

    @property
    def limits(self) -> tuple[float, float]:
        """Least and greatest level: what lies beyond is clipped."""
        return float(self.values[0]), float(self.values[-1])


def levels_of(stats: ActivationStats, bits: int, symmetric: bool, estimator: str) -> Levels:
    """The grid that an estimator chooses for a tensor."""
    low, high = estimate_range(stats, bits, symmetric, estimator)
    scale, zero_point = qparams_from_range(low, high, bits, symmetric)
    return Levels(float(scale), int(zero_point), bits)


def histogram(
    stats: ActivationStats, levels: Levels, window: tuple[float, float], log: bool = True
) -> Figure:
    """Values per bin, those that are clipped apart, over the grid's levels.

    Args:
        window: least and greatest value on the axis, the same for every timestep of a layer.
    """
    low, high = levels.limits
    centers, counts = stats.histogram.centers, stats.histogram.counts
    clipped = (centers < low) | (centers > high)
    data = [
        _bars(centers[~clipped], counts[~clipped], stats.histogram.width, BLUE, "kept"),
        _bars(centers[clipped], counts[clipped], stats.histogram.width, ORANGE, "clipped"),
        _rug(levels),
    ]
    x0, x1 = min(window[0], low), max(window[1], high)
    pad = 0.03 * (x1 - x0)
    return figure(
        data,
        f"Histogram of {stats.sampled} values with {2**levels.bits} levels from {low:.3g} to "
        f"{high:.3g}",
        330,
        barmode="overlay",
        bargap=0,
        shapes=[*_level_lines(levels), _limit(low), _limit(high)],
        annotations=[_note(low, "clips below", "left"), _note(high, "clips above", "right")],
        margin={"l": 56, "r": 12, "t": 28, "b": 44},
        xaxis=axis(f"activation value ({UNITS})", range=[x0 - pad, x1 + pad], anchor="y2"),
        yaxis=axis(
            "values per bin (count)",
            domain=[0.1, 1],
            type="log" if log else "linear",
            range=_count_range(counts, log),
            exponentformat="power",
            dtick=1 if log else None,
        ),
        yaxis2={"domain": [0, 0.07], "visible": False, "range": [-1, 1], "fixedrange": True},
    )


def _bars(x: Array, y: Array, width: float, colour: str, name: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "x": packed(x),
        "y": packed(y),
        "width": width,
        "name": name,
        "marker": {"color": colour, "line": {"width": 0}},
        "hovertemplate": f"%{{x:.3g}}: %{{y}} values, {name}<extra></extra>",
    }


def _rug(levels: Levels) -> dict[str, Any]:
    values = levels.values
    return {
        "type": "scatter",
        "mode": "markers",
        "x": packed(values),
        "y": [0] * len(values),
        "yaxis": "y2",
        "name": "levels",
        "marker": {"symbol": "line-ns-open", "size": 12, "color": GREEN},
        "hovertemplate": "level %{x:.3g}<extra></extra>",
    }


def _level_lines(levels: Levels) -> list[dict[str, Any]]:
    if 2**levels.bits > FEW_LEVELS:
        return []
    line = {"color": GREEN, "width": 1}
    return [{**_vertical(float(x)), "line": line, "opacity": 0.55} for x in levels.values]


def _limit(x: float) -> dict[str, Any]:
    return {**_vertical(x), "line": {"color": ORANGE, "width": 2, "dash": "dash"}}


def _vertical(x: float) -> dict[str, Any]:
    return {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}


def _note(x: float, text: str, anchor: str) -> dict[str, Any]:
    return {
        "x": x,
        "y": 1,
        "xref": "x",
        "yref": "paper",
        "text": text,
        "showarrow": False,
        "xanchor": anchor,
        "yanchor": "bottom",
        "font": {"color": ORANGE, "size": 12},
    }


def _count_range(counts: Array, log: bool) -> list[float]:
    top = max(float(counts.max()), 1.0)
    return [-0.3, np.log10(top) + 0.1] if log else [0.0, top * 1.05]
