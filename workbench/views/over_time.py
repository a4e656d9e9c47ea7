"""Over time: how one layer's values move while the noise becomes a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from analysis.quant.whatif import predict_sqnr_db
from analysis.records import Array, LayerStats
from workbench.components import facts, plot, table
from workbench.figures.over_time import PLOTS, SHARES, calibration_error
from workbench.figures.style import UNITS, number
from workbench.grids import BITS, ESTIMATORS
from workbench.grids import setting as grid_setting
from workbench.page import Page, Updates, setting
from workbench.selection import Selection
from workbench.session import Session
from workbench.statistics import Grid, quantiles, range_drift
from workbench.views.grid_controls import ESTIMATOR_TITLES
from workbench.views.late import Late
from workbench.whatif import range_of

TITLES = {
    "ridge": "Ridges",
    "density": "Density",
    "bands": "Percentiles",
    "boxes": "Channel ranges",
}
READING = {
    "ridge": "Each ridge is the histogram of one timestep. Ridges that widen or wander cannot "
    "share one grid well; the orange one is the selected timestep.",
    "density": "Bright means many values. The dashed lines are the least and the greatest value: "
    "where they part from the bright band, outliers set the range.",
    "bands": "The bright band holds half of all values, the palest all of them. One grid for all "
    "timesteps has to span the pale band at its widest.",
    "boxes": "Every box shows how wide the channels' ranges are at one timestep: middle half in "
    "the box, extremes at the whiskers. Boxes that rise or sink are what PTQ4DM reported.",
}


GRID = ("bits", "estimator", "symmetric")


class OverTime:
    """The selected layer over the timesteps."""

    name, title = "time", "Over time"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        self.facts = facts(elem_id="time-facts")
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=340):
                choices = [(title, name) for name, title in TITLES.items()]
                self.plot = gr.Radio(choices, label="Show as", elem_id="time-plot")
                self.reading = facts(elem_id="reading")
                self.moving = plot(elem_id="over-time", min_height=420)
            with gr.Column(scale=5, min_width=340):
                self.bits = gr.Radio(list(BITS), label="Grid: bits", elem_classes="wb-bits")
                with gr.Row(elem_classes="wb-tight"):
                    titles = [(ESTIMATOR_TITLES[e], e) for e in ESTIMATORS]
                    self.estimator = gr.Dropdown(titles, label="Clip limits from", min_width=160)
                    with gr.Column(min_width=160):
                        self.symmetric = gr.Checkbox(label="Symmetric around 0")
                        self.log = gr.Checkbox(label="Logarithmic count")
                self.says = facts(elem_id="calibration-says")
                self.error = plot(elem_id="calibration-error", min_height=330)
        with gr.Accordion("The same numbers as tables", open=False) as self.tables:
            self.numbers = table(elem_id="time-numbers")
            self.values = table(elem_id="time-values")
        self.detail = [self.facts, self.reading, self.moving, self.says, self.error]
        self.knobs, tables = [getattr(self, n) for n in GRID], [self.numbers, self.values]
        self.late = Late(self.name, tables, self.knobs)
        self.rest = [self.plot, self.log, *tables, *self.knobs]

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        for name in ("plot", "log"):
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], self.detail)
        for name in GRID:
            control = getattr(self, name)
            turned = self.late.turned(grid_setting(name))
            page.on(control.input, turned, [control], [*self.detail, *self.knobs])
        self.late.wire(page, self.tables, self.facts)

    def paint(self, session: Session) -> Updates:
        """The selected layer."""
        selection, opened = session.selection, session.opened
        stats, timesteps = opened.capture[selection.layer], opened.capture.timesteps
        key = ("curves", selection.layer, selection.step, selection.grid)
        curves = opened.remembered(key, lambda: calibration_curves(stats, selection, timesteps))
        draw = PLOTS[selection.plot]
        return {
            **{getattr(self, name): getattr(selection.grid, name) for name in GRID},
            self.plot: selection.plot,
            self.log: selection.log,
            self.facts: {
                **drift_facts(selection.layer, stats, timesteps),
                "late": self.late.wanted(session),
            },
            self.reading: {"text": READING[selection.plot]},
            self.moving: draw(stats, timesteps, selection.step, selection.log),
            self.says: curves_say(curves, timesteps, selection),
            self.error: calibration_error(curves, timesteps, selection.step),
            self.numbers: curve_table(selection.layer, curves, timesteps),
            self.values: value_table(selection.layer, stats, timesteps),
        }


def calibration_curves(
    stats: LayerStats, selection: Selection, timesteps: Array
) -> dict[str, Array]:
    """Predicted SQNR in dB [T] for a grid of each step's own, of all steps, of the selected.

    A fourth curve shows a range that was drawn by hand.
    """
    drawn, grid = selection.grid.clip, replace(selection.grid, clip=None)
    how = (grid.bits, grid.symmetric, grid.estimator)
    steps = [stats.at(i) for i in range(len(timesteps))]
    own = [float(predict_sqnr_db(s, *how, clip=range_of(s, grid))) for s in steps]
    ranges = {
        "one grid, calibrated over all timesteps": range_of(stats.total, grid),
        f"one grid, calibrated at t = {timesteps[selection.step]:g} only": range_of(
            steps[selection.step], grid
        ),
        **({} if drawn is None else {"the range drawn by hand": drawn}),
    }
    return {
        "a grid of its own for every timestep": np.array(own),
        **{name: predict_sqnr_db(stats, *how, clip=clip) for name, clip in ranges.items()},
    }


def curves_say(curves: dict[str, Array], timesteps: Array, selection: Selection) -> dict[str, str]:
    """The worst that one step's grid does to another, in a sentence."""
    own, everything, one = list(curves.values())[:3]
    loss = np.where(np.isfinite(own) & np.isfinite(one), own - one, 0)
    worst = int(np.argmax(loss))
    shared = np.where(np.isfinite(own) & np.isfinite(everything), own - everything, 0)
    return {
        "title": "What calibrating at one timestep costs",
        "text": f"A grid that fits t = {timesteps[selection.step]:g} loses up to "
        f"{number(float(loss[worst]))} dB elsewhere (at t = {timesteps[worst]:g}). One grid for "
        f"all timesteps loses up to {number(float(shared.max()))} dB against a grid for each. "
        "Higher is better; 6 dB are one bit.",
    }


def drift_facts(layer: str, stats: LayerStats, timesteps: Array) -> dict[str, Any]:
    """Where the layer's range is widest and narrowest."""
    width = stats.max - stats.min
    widest, narrowest = int(width.argmax()), int(width.argmin())
    ratio = width[widest] / width[narrowest] if width[narrowest] > 0 else np.inf
    lost = float(np.nanmax(range_drift(stats, Grid())))
    return {
        "title": layer,
        "items": [
            _tile(
                "Widest range",
                number(width[widest]),
                f"units at t = {timesteps[widest]:g}",
            ),
            _tile(
                "Narrowest",
                number(width[narrowest]),
                f"units at t = {timesteps[narrowest]:g}",
            ),
            _tile("Widest by narrowest", f"{number(ratio)}", "times"),
            _tile("Most of the grid left idle", number(lost), "bits"),
        ],
    }


def _tile(name: str, value: str, unit: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit}


def curve_table(layer: str, curves: dict[str, Array], timesteps: Array) -> dict[str, Any]:
    """The curves, number by number."""
    finite = [[float(v) if np.isfinite(v) else None for v in curve] for curve in curves.values()]
    return {
        "caption": f"Predicted SQNR of {layer}",
        "columns": [
            {"title": "Timestep t"},
            *({"title": name, "unit": "dB"} for name in curves),
        ],
        "rows": [[float(t), *row] for t, *row in zip(timesteps, *finite, strict=True)],
    }


def value_table(layer: str, stats: LayerStats, timesteps: Array) -> dict[str, Any]:
    """What the plots of the values show, number by number."""
    q = quantiles(stats, SHARES)  # [T, 5]
    widths = stats.channel_max - stats.channel_min  # [T, C]
    boxes = np.percentile(widths, [0, 25, 50, 75, 100], axis=1).T  # [T, 5]
    named = [f"{100 * share:g} %" for share in SHARES]
    channels = ("narrowest", "25 %", "middle", "75 %", "widest")
    rows = np.column_stack([timesteps, stats.min, q, stats.max, boxes])
    return {
        "caption": f"Values of {layer} in {UNITS}: extremes, percentiles, ranges of channels",
        "columns": [
            {"title": "Timestep t"},
            *({"title": title} for title in ("Least", *named, "Greatest")),
            *({"title": f"Channel range, {title}"} for title in channels),
        ],
        "rows": [[float(v) if np.isfinite(v) else None for v in row] for row in rows],
    }
