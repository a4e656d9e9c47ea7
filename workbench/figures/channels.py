"""The range of every channel of one tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.records import ActivationStats
from workbench.figures.style import BLUE, ORANGE, UNITS, Figure, axis, figure, packed


def channels(stats: ActivationStats, seam: int | None = None) -> Figure:
    """From least to greatest value of each channel; `seam` parts the halves of a shortcut."""
    low, high = stats.channel_min, stats.channel_max
    count = len(low)
    parts = [(slice(0, count), BLUE, "channel")]
    if seam:
        parts = [(slice(0, seam), BLUE, "h"), (slice(seam, count), ORANGE, "skip")]
    return figure(
        [_ranges(low, high, part, colour, name) for part, colour, name in parts],
        f"Ranges of {count} channels",
        210,
        showlegend=bool(seam),
        margin={"l": 62, "r": 12, "t": 28 if seam else 8, "b": 44},
        xaxis=axis("channel (index)", range=[-0.6, count - 0.4], showgrid=False),
        yaxis=axis(UNITS, zeroline=True),
    )


def _ranges(low: Any, high: Any, part: slice, colour: str, name: str) -> dict[str, Any]:
    """One upright bar a channel, all of them one path."""
    x, y = np.full((2, part.stop - part.start, 3), np.nan)
    x[:, 0] = x[:, 1] = np.arange(part.start, part.stop)
    y[:, 0], y[:, 1] = low[part], high[part]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(x.ravel()),
        "y": packed(y.ravel()),
        "name": {"h": "h: from the layer below", "skip": "skip: from the way down"}.get(name, name),
        "line": {"color": colour, "width": max(1.5, 260 / len(low))},
        "hovertemplate": "channel %{x}: %{y:.3g}<extra></extra>",
    }
