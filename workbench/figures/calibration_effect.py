"""What calibration sets do to scales and to the error of one step, and how stable that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.records import Array
from workbench.figures.calibration import LEGEND, MARGIN, NEUTRAL, Series, look, time_axis
from workbench.figures.heatmap import block_ticks
from workbench.figures.over_time import selected_line
from workbench.figures.style import BLUE, Figure, axis, figure, packed, plain


def scales(
    names: Sequence[str], sets: Sequence[tuple[str, int, Array]], selected: str = ""
) -> Figure:
    """Doublings [L] of each layer's scale against the capture's, for (label, slot, values)."""
    data = [_layer_points(names, label, slot, values) for label, slot, values in sets]
    return figure(
        data,
        f"Scales of {len(names)} layers under {len(sets)} calibration sets against the capture's",
        380,
        showlegend=True,
        **_over_layers(names, selected),
        yaxis=axis("scale against capture (doublings)", zeroline=True, zerolinewidth=2),
    )


def spread(names: Sequence[str], values: Array, selected: str = "") -> Figure:
    """Standard deviation of each layer's scale over repeats, in percent of its mean [L]."""
    trace = _layer_points(names, "spread over the seeds", 0, 100 * values)
    trace["hovertemplate"] = "%{text}<br>%{y:.3g} %<extra></extra>"
    return figure(
        [trace],
        f"Spread of the scales of {len(names)} layers over repeated calibrations",
        340,
        **_over_layers(names, selected),
        yaxis=axis("spread of the scale (% of its mean)", rangemode="tozero"),
    )


def errors(sets: Sequence[Series], reference: Series) -> Figure:
    """SQNR in dB of the predicted noise at each held-out timestep.

    Above: the ranges of the capture and of every set. Below: what each set gains on the capture.
    """
    data = [_curve(reference, NEUTRAL, "x", "solid"), *(_curve(s, *look(s.slot)) for s in sets)]
    for one in sets:
        gain = Series(one.label, one.slot, one.timesteps, one.values - reference.values)
        data.append({**_curve(gain, *look(one.slot)), "yaxis": "y2", "showlegend": False})
    return figure(
        data,
        f"Error of one step at each timestep under {len(sets)} calibration sets",
        440,
        showlegend=True,
        margin=MARGIN,
        legend=LEGEND,
        xaxis=time_axis([*sets, reference], anchor="y2"),
        yaxis=axis("SQNR (dB)", domain=[0.5, 1]),
        yaxis2=axis("gain (dB)", domain=[0, 0.38], zeroline=True, zerolinewidth=2),
    )


def repeats(
    seeds: Sequence[int], sqnr_db: Array, others: Sequence[tuple[str, int, float]]
) -> Figure:
    """One-step SQNR of each repeat, above that of the drawn sets (label, slot, dB)."""
    rows = [("repeats", 0), *((label, slot) for label, slot, _ in others)]
    data = [_strip(sqnr_db, 0, BLUE, "circle", [f"seed {s}" for s in seeds])]
    for row, (label, slot, value) in enumerate(others, 1):
        colour, symbol, _ = look(slot)
        data.append(_strip(np.array([value]), row, colour, symbol, [label]))
    return figure(
        data,
        f"One-step SQNR of {len(seeds)} repeats beside that of {len(others)} drawn sets",
        120 + 32 * len(rows),
        margin={"l": 165, "r": 12, "t": 8, "b": 44},
        xaxis=axis("one-step SQNR (dB)"),
        yaxis=axis(
            "",
            tickvals=list(range(len(rows))),
            ticktext=[plain(label) for label, _ in rows],
            range=[len(rows) - 0.5, -0.5],
            zeroline=False,
        ),
    )


def _over_layers(names: Sequence[str], selected: str) -> dict[str, Any]:
    """Layout over layers in execution order, with a line at the selected one."""
    ticks, labels = block_ticks(names)
    return {
        "margin": {**MARGIN, "b": 90},
        "legend": LEGEND,
        "shapes": [selected_line(list(names).index(selected))] if selected in names else [],
        "xaxis": {"tickvals": ticks, "ticktext": labels, "tickangle": -35, "showgrid": False},
    }


def _layer_points(names: Sequence[str], label: str, slot: int, values: Array) -> dict[str, Any]:
    rows = np.flatnonzero(np.isfinite(values))
    colour, symbol, _ = look(slot)
    return {
        "type": "scatter",
        "mode": "markers",
        "x": rows.tolist(),
        "y": packed(np.asarray(values)[rows]),
        "customdata": [names[i] for i in rows],
        "text": [plain(names[i]) for i in rows],
        "name": plain(label),
        "marker": {"color": colour, "symbol": symbol, "size": 6, "opacity": 0.85},
        "hovertemplate": f"%{{text}}<br>{plain(label)}: %{{y:.2f}} doublings<extra></extra>",
    }


def _curve(one: Series, colour: str, symbol: str, dash: str) -> dict[str, Any]:
    finite = np.where(np.isfinite(one.values), one.values, np.nan)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": packed(one.timesteps),
        "y": packed(finite),
        "name": plain(one.label),
        "line": {"color": colour, "width": 2, "dash": dash},
        "marker": {"symbol": symbol, "size": 8},
        "hovertemplate": f"{plain(one.label)}<br>t = %{{x:.6~g}}: %{{y:.1f}} dB<extra></extra>",
    }


def _strip(
    values: Array, row: int, colour: str, symbol: str, texts: Sequence[str]
) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": packed(values),
        "y": [row] * len(values),
        "text": [plain(text) for text in texts],
        "marker": {"color": colour, "symbol": symbol, "size": 11, "opacity": 0.85},
        "hovertemplate": "%{text}: %{x:.2f} dB<extra></extra>",
    }
