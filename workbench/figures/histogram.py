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
    return levels_in(estimate_range(stats, bits, symmetric, estimator), bits, symmetric)


def levels_in(ends: tuple[float, float], bits: int, symmetric: bool) -> Levels:
    """The grid that covers a range."""
    scale, zero_point = qparams_from_range(*ends, bits, symmetric)
    return Levels(float(scale), int(zero_point), bits)


def histogram(
    stats: ActivationStats,
    levels: Levels,
    window: tuple[float, float],
    log: bool = True,
    ends: tuple[float, float] | None = None,
    mirrored: bool = False,
) -> Figure:
    """Values per bin, those that are clipped apart, over the grid's levels.

    Args:
        window: least and greatest value on the axis, the same for every timestep of a layer.
        ends: the range that was asked of the grid; its two handles stand there, to be dragged.
        mirrored: whether one handle moves the other, as a symmetric grid needs it.
    """
    low, high = levels.limits
    x0, x1 = min(window[0], low), max(window[1], high)
    pad = 0.03 * (x1 - x0)
    bottom, top = _count_range(stats.histogram.counts, log)
    return figure(
        [
            *_outlines(stats, low, high, bottom),
            _lines(levels.values, bottom, top, {"color": GREEN, "width": 1}, "level")
            if 2**levels.bits <= FEW_LEVELS
            else {"type": "scatter"},
            _lines(
                [low, high], bottom, top, {"color": ORANGE, "width": 2, "dash": "dash"}, "limit"
            ),
            _rug(levels),
        ],
        f"Histogram of {stats.sampled} values with {2**levels.bits} levels from {low:.3g} to "
        f"{high:.3g}",
        330,
        annotations=_notes(low, high, x0, x1),
        margin={"l": 62, "r": 12, "t": 26, "b": 44},
        xaxis=axis(f"activation value ({UNITS})", range=[x0 - pad, x1 + pad], anchor="y2"),
        yaxis=axis(
            "values per bin (count)",
            domain=[0.1, 1],
            type="log" if log else "linear",
            range=list(np.log10([bottom, top])) if log else [bottom, top],
            exponentformat="power",
            dtick=1 if log else None,
        ),
        yaxis2={"domain": [0, 0.07], "visible": False, "range": [-1, 1], "fixedrange": True},
        meta={} if ends is None else {"clip": list(ends), "mirrored": mirrored},
    )


def _outlines(stats: ActivationStats, low: float, high: float, bottom: float) -> list[Any]:
    """The histogram as two areas, kept and clipped: two paths draw faster than 512 bars."""
    edges = stats.histogram.edges
    # Bins are cut at the limits, so that the colours change exactly there.
    cuts = np.unique(np.concatenate([edges, np.clip([low, high], edges[0], edges[-1])]))
    middle = (cuts[1:] + cuts[:-1]) / 2
    heights = stats.histogram.counts[np.searchsorted(edges, middle) - 1]
    kept = (middle > low) & (middle < high)
    return [
        _area(cuts, np.where(kept, heights, 0), bottom, BLUE, "kept"),
        _area(cuts, np.where(kept, 0, heights), bottom, ORANGE, "clipped"),
    ]


def _area(cuts: Array, heights: Array, bottom: float, colour: str, name: str) -> dict[str, Any]:
    used = np.flatnonzero(heights)
    if used.size == 0:
        return {"type": "scatter", "name": name, "x": [], "y": []}
    part = slice(used[0], used[-1] + 1)
    inner = np.repeat(np.maximum(heights[part], bottom), 2)
    x = np.repeat(cuts[part.start : part.stop + 1], 2)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x),
        "y": packed(np.concatenate([[bottom], inner, [bottom]])),
        "fill": "toself",
        "fillcolor": colour,
        "line": {"width": 0},
        "name": name,
        "hovertemplate": f"%{{x:.3g}}: %{{y:.0f}} values, {name}<extra></extra>",
    }


def _lines(
    places: Any, bottom: float, top: float, line: dict[str, Any], name: str
) -> dict[str, Any]:
    """Vertical lines as one path."""
    x, y = np.full((len(places), 3), np.nan), np.full((len(places), 3), np.nan)
    x[:, 0] = x[:, 1] = places
    y[:, 0], y[:, 1] = bottom, top
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x.ravel()),
        "y": packed(y.ravel()),
        "line": line,
        "name": name,
        "opacity": 1 if name == "limit" else 0.6,
        "hoverinfo": "skip",
    }


def _rug(levels: Levels) -> dict[str, Any]:
    values = levels.values
    return {
        **_lines(values, -1, 1, {"color": GREEN, "width": 1}, "level"),
        "yaxis": "y2",
        "opacity": 1,
    }


def _notes(low: float, high: float, x0: float, x1: float) -> list[dict[str, Any]]:
    """Which limit is which: outside of the limits where there is room, so that they stay apart."""
    room = 0.25 * (x1 - x0)
    return [
        _note(low, "clips below", "right" if low - x0 > room else "left"),
        _note(high, "clips above", "left" if x1 - high > room else "right"),
    ]


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


def _count_range(counts: Array, log: bool) -> tuple[float, float]:
    top = max(float(counts.max()), 1.0)
    return (0.5, top * 1.3) if log else (0.0, top * 1.05)
