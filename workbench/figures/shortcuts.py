"""The two halves of a concatenated input, apart and under one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.records import ActivationStats, Array
from workbench.figures.style import (
    BLUE,
    ORANGE,
    UNITS,
    Figure,
    axis,
    figure,
    packed,
)

if TYPE_CHECKING:
    from analysis.shortcut_split import SplitGain

LABELS = {"h": "h: from the layer below", "skip": "skip: from the way down"}


def halves(h: ActivationStats, skip: ActivationStats, log: bool = True) -> Figure:
    """Both halves' histograms on one axis, as shares of their own values."""
    data = [
        _outline(h, BLUE, "rgba(0,114,178,0.45)", LABELS["h"], "solid"),
        _outline(skip, ORANGE, "rgba(213,94,0,0.45)", LABELS["skip"], "dash"),
    ]
    low, high = min(h.min, skip.min), max(h.max, skip.max)
    pad = 0.02 * (high - low)
    return figure(
        data,
        "Histograms of the two halves of the shortcut on one axis",
        340,
        showlegend=True,
        margin={"l": 64, "r": 12, "t": 40, "b": 44},
        xaxis=axis(f"activation value ({UNITS})", range=[low - pad, high + pad]),
        yaxis=axis(
            "share of values (% per unit)",
            type="log" if log else "linear",
            exponentformat="power",
            dtick=1 if log else None,
        ),
    )


def shares(half: ActivationStats) -> Array:
    """Percent of the values per activation unit, in every bin [B]."""
    counts = half.histogram.counts
    return 100 * counts / max(int(counts.sum()), 1) / half.histogram.width


def _outline(half: ActivationStats, colour: str, fill: str, name: str, dash: str) -> dict[str, Any]:
    share = shares(half)
    used = np.flatnonzero(share)
    part = slice(used[0], used[-1] + 1) if used.size else slice(0, 0)
    floor = share[share > 0].min(initial=1.0) / 2
    x = half.histogram.centers[part]
    y = np.maximum(share[part], floor)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": packed(np.concatenate([x[:1], x, x[-1:]])),
        "y": packed(np.concatenate([[floor], y, [floor]])),
        "fill": "toself",
        "fillcolor": fill,
        "line": {"color": colour, "width": 1.5, "dash": dash},
        "name": name,
        "hovertemplate": "%{x:.3g}: %{y:.3g} %<extra></extra>",
    }


def reaches(h: ActivationStats, skip: ActivationStats) -> Figure:
    """How far every channel reaches, in doublings: two humps show as two clusters."""
    data = [
        _strip(half, row, colour, symbol, LABELS[name])
        for row, (name, half, colour, symbol) in enumerate(
            (("h", h, BLUE, "circle"), ("skip", skip, ORANGE, "diamond"))
        )
    ]
    return figure(
        data,
        "Largest absolute value of every channel, the halves apart",
        190,
        margin={"l": 64, "r": 12, "t": 8, "b": 44},
        xaxis=axis("largest |x| of a channel (units)", type="log"),
        yaxis=axis("", tickvals=[0, 1], ticktext=["h", "skip"], range=[-0.6, 1.6], zeroline=False),
    )


def _strip(half: ActivationStats, row: int, colour: str, symbol: str, name: str) -> dict[str, Any]:
    reach = np.maximum(np.abs(half.channel_min), np.abs(half.channel_max))
    # Neighbours are moved apart in a fixed pattern, so that equal channels stay countable.
    jitter = row + 0.34 * np.sin(np.arange(len(reach)) * 2.4)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": packed(np.maximum(reach, 1e-9)),
        "y": packed(jitter),
        "name": name,
        "marker": {"color": colour, "size": 6, "opacity": 0.7, "symbol": symbol},
        "hovertemplate": "%{x:.3g}<extra></extra>",
    }


def scales(joint: dict[int, float], split: dict[int, float], title: str) -> Figure:
    """SQNR in dB over bits: one scale for both halves against a scale for each."""
    bits = list(joint)
    return figure(
        [
            _curve(bits, [joint[b] for b in bits], "one scale for both", ORANGE, "dash", "diamond"),
            _curve(
                bits, [split[b] for b in bits], "a scale for each half", BLUE, "solid", "circle"
            ),
        ],
        f"{title}: one scale against two",
        300,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 40, "b": 44},
        xaxis=axis("bits", tickvals=bits),
        yaxis=axis("SQNR (dB)"),
    )


def gains(gain: SplitGain, title: str) -> Figure:
    """SQNR in dB of each half over bits: one scale for both, dashed, against a scale each."""
    data = []
    for name, half, colour, symbol in (
        ("h", gain.h, BLUE, "circle"),
        ("skip", gain.skip, ORANGE, "diamond"),
    ):
        for how, curve, dash, shape in (
            ("a scale each", half.two, "solid", symbol),
            ("one scale for both", half.one, "dash", f"{symbol}-open"),
        ):
            x, y = list(curve), list(curve.values())
            data.append(_curve(x, y, f"{name}, {how}", colour, dash, shape))
    return figure(
        data,
        f"{title}: each half under one scale and under two",
        300,
        showlegend=True,
        margin={"l": 56, "r": 12, "t": 60, "b": 44},
        xaxis=axis("bits", tickvals=list(gain.h.one)),
        yaxis=axis("SQNR (dB)"),
    )


def _curve(
    x: Sequence[int], y: Sequence[float], name: str, colour: str, dash: str, symbol: str
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": list(x),
        "y": [v if np.isfinite(v) else None for v in y],
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"symbol": symbol, "size": 9},
        "hovertemplate": f"{name}, %{{x}} bits: %{{y:.1f}} dB<extra></extra>",
    }
