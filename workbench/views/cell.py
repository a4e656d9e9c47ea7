"""What is said about one layer at one timestep: its grid, its numbers, its tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.quant.whatif import error_parts, sqnr_db
from analysis.records import MISS, ActivationStats, LayerStats
from workbench.captures import OpenCapture
from workbench.figures.histogram import Levels, levels_in
from workbench.figures.style import UNITS, number
from workbench.selection import Selection
from workbench.statistics import STATISTICS, kurtosis, outlier_share, quantiles
from workbench.whatif import range_of

SHARES = np.array([0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999])


def ends(opened: OpenCapture, selection: Selection) -> tuple[float, float]:
    """The range that the visitor's settings ask of the selected layer's grid."""
    layer, grid = opened.capture[selection.layer], selection.grid
    source = layer.total if selection.scope == "all" else layer.at(selection.step)
    low, high = range_of(source, grid)
    return (-max(-low, high), max(-low, high)) if grid.symmetric else (min(low, 0), max(high, 0))


def levels(selection: Selection, ends: tuple[float, float]) -> Levels:
    """The selected layer's grid over a range."""
    return levels_in(ends, selection.grid.bits, selection.grid.symmetric)


def window(opened: OpenCapture, selection: Selection) -> tuple[float, float]:
    """The layer's range over all timesteps: the histogram's axis stays put while t moves."""
    total = opened.capture[selection.layer].total
    return total.min, total.max


def seam(opened: OpenCapture, layer: str) -> int | None:
    """Where the two halves of a shortcut meet, in channels."""
    found = (s.channels_h for s in opened.capture.shortcuts if s.layer == layer)
    return next(found, None)


def noise(stats: ActivationStats, grid: Levels) -> tuple[float, float, float]:
    """SQNR in dB, and the mean squared errors of rounding and of clipping."""
    edges = np.clip(stats.histogram.edges, stats.min, stats.max)
    parts = error_parts(stats.histogram.counts, edges, grid.scale, grid.zero_point, grid.bits)
    rounding, clipping = (float(part) for part in parts)
    return float(sqnr_db(stats.mean**2 + stats.std**2, rounding + clipping)), rounding, clipping


def says(opened: OpenCapture, selection: Selection) -> str:
    """The selected cell in one sentence, for screen readers."""
    row = opened.table(selection.stat, selection.base, selection.own)[
        opened.names.index(selection.layer)
    ]
    value = float(row[selection.step])
    statistic = STATISTICS[selection.stat]
    t = opened.capture.timesteps[selection.step]
    return (
        f"{selection.layer} at timestep {t:g}: {statistic.title} {number(value)} {statistic.unit}"
    )


def facts(opened: OpenCapture, selection: Selection, grid: Levels) -> dict[str, Any]:
    """The selected cell's heading and tiles."""
    index = opened.capture.index[selection.layer]
    layer, stats = opened.capture.layers[index], opened.capture[selection.layer]
    here = stats.at(selection.step)
    ratio, *parts = noise(here, grid)
    shape = f", weight {' x '.join(map(str, layer.shape))}" if layer.shape else ""
    t = opened.capture.timesteps[selection.step]
    return {
        "title": selection.layer,
        "text": f"{layer.kind}{shape}, input at timestep {t:g}. {_drawn(here, stats, selection)}",
        "items": [*_values(stats, here, selection), *_errors(here, grid, ratio, *parts)],
    }


def _drawn(here: ActivationStats, stats: LayerStats, selection: Selection) -> str:
    """How many values there are, and how far the histogram speaks for them."""
    bound = stats.share_bound(selection.step)
    if not bound:
        return f"The histogram holds all {here.count:,} values."
    return (
        f"The histogram holds {here.sampled:,} of {here.count:,} values: shares read off it are "
        f"within {100 * bound:.2g} percentage points, in {1 - MISS:.0%} of draws."
    )


def _values(stats: LayerStats, here: ActivationStats, selection: Selection) -> list[dict[str, str]]:
    """What the values themselves are like."""
    low, high = quantiles(here, SHARES[[0, -1]])
    outliers = float(outlier_share(stats, selection.grid)[selection.step])
    tails = float(kurtosis(stats, selection.grid)[selection.step])
    return [
        _tile("Least to greatest", f"{number(here.min)} to {number(here.max)}", "units"),
        _tile("0.1th to 99.9th percentile", f"{number(low)} to {number(high)}", "units"),
        _tile("Standard deviation", number(here.std), "units"),
        _tile("Beyond 3 deviations", number(outliers), "%", "normal: 0.27 %"),
        _tile("Tail weight", number(tails), "(kurtosis)", "normal: 3"),
    ]


def _errors(
    here: ActivationStats, grid: Levels, ratio: float, rounding: float, clipping: float
) -> list[dict[str, str]]:
    """What the drawn grid does to them."""
    total = rounding + clipping or 1.0
    used = _used(here, *grid.limits, grid)
    shares = [f"{100 * part / total:.0f} % of the squared error" for part in (rounding, clipping)]
    return [
        _tile("Grid step", number(grid.scale), "units", f"{used} of {2**grid.bits} levels in use"),
        _tile("Rounding error", number(rounding**0.5), "units, RMS", shares[0]),
        _tile("Clipping error", number(clipping**0.5), "units, RMS", shares[1]),
        _tile("Predicted SQNR", f"{ratio:.1f}", "dB", "of the grid drawn below"),
    ]


def _used(here: ActivationStats, low: float, high: float, grid: Levels) -> int:
    first = np.clip(np.rint((here.min - low) / grid.scale), 0, 2**grid.bits - 1)
    last = np.clip(np.rint((here.max - low) / grid.scale), 0, 2**grid.bits - 1)
    return int(last - first) + 1


def _tile(name: str, value: str, unit: str, note: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def table(opened: OpenCapture, selection: Selection) -> dict[str, Any]:
    """The selected cell beside all timesteps of its layer, number by number."""
    stats = opened.capture[selection.layer]
    here, total = stats.at(selection.step), stats.total
    rows: list[list[Any]] = [
        [name, getattr(here, field), getattr(total, field)]
        for name, field in (
            ("Values", "count"),
            ("Least value", "min"),
            ("Greatest value", "max"),
            ("Mean", "mean"),
            ("Standard deviation", "std"),
        )
    ]
    at_step, overall = (quantiles(s, SHARES) for s in (here, total))
    rows += [
        [f"{100 * share:g}th percentile", float(a), float(b)]
        for share, a, b in zip(SHARES, at_step, overall, strict=True)
    ]
    t = opened.capture.timesteps[selection.step]
    return {
        "caption": f"{selection.layer} in {UNITS} (values: count)",
        "columns": [
            {"title": "Statistic"},
            {"title": f"at t = {t:g}"},
            {"title": "over all timesteps"},
        ],
        "rows": rows,
    }


def time_table(opened: OpenCapture, selection: Selection) -> dict[str, Any]:
    """The row of the heatmap that is selected, as numbers."""
    statistic = STATISTICS[selection.stat]
    row = opened.table(selection.stat, selection.base, selection.own)[
        opened.names.index(selection.layer)
    ]
    timesteps = opened.capture.timesteps
    return {
        "caption": f"{statistic.title} of {selection.layer} at every timestep",
        "columns": [{"title": "Timestep t"}, {"title": statistic.title, "unit": statistic.unit}],
        "rows": [
            [float(t), float(v) if np.isfinite(v) else None]
            for t, v in zip(timesteps, row, strict=True)
        ],
    }


def channel_table(opened: OpenCapture, selection: Selection) -> dict[str, Any]:
    """The range of every channel, at the selected timestep and over all."""
    stats, border = opened.capture[selection.layer], seam(opened, selection.layer)
    here, total = stats.at(selection.step), stats.total
    ranges = [here.channel_min, here.channel_max, total.channel_min, total.channel_max]
    t = opened.capture.timesteps[selection.step]
    half = [] if border is None else [{"title": "Half"}]
    names = [f"{end} at t = {t:g}" for end in ("Least", "Greatest")]
    names += [f"{end} over all timesteps" for end in ("Least", "Greatest")]
    return {
        "caption": f"Ranges of the channels of {selection.layer} in {UNITS}",
        "columns": [{"title": "Channel"}, *half, *({"title": name} for name in names)],
        "rows": [
            [channel, *(["h" if channel < border else "skip"] if border is not None else []), *row]
            for channel, row in enumerate(np.stack(ranges, axis=1).tolist())
        ],
    }
