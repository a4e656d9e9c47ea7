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
        barmode="overlay",
        bargap=0.1,
        showlegend=bool(seam),
        margin={"l": 56, "r": 12, "t": 28 if seam else 8, "b": 44},
        xaxis=axis("channel (index)", range=[-0.6, count - 0.4], showgrid=False),
        yaxis=axis(UNITS, zeroline=True),
    )


def _ranges(low: Any, high: Any, part: slice, colour: str, name: str) -> dict[str, Any]:
    width = high[part] - low[part]
    return {
        "type": "bar",
        "x": packed(np.arange(len(low))[part]),
        "y": packed(width),
        "base": packed(low[part]),
        "name": {"h": "h: from the layer below", "skip": "skip: from the way down"}.get(name, name),
        "marker": {"color": colour, "line": {"width": 0}},
        "customdata": packed(high[part]),
        "hovertemplate": "channel %{x}: %{base:.3g} to %{customdata:.3g}<extra></extra>",
    }
