"""Over time: how one layer's values move while the noise becomes a picture."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from analysis.quant.whatif import estimate_range, predict_sqnr_db
from analysis.records import Array, LayerStats
from workbench.components import facts, plot, table
from workbench.figures.over_time import PLOTS, calibration_error
from workbench.figures.style import number
from workbench.page import Page, Updates, setting
from workbench.selection import BITS, ESTIMATORS, Selection
from workbench.session import Session
from workbench.statistics import Grid, range_drift
from workbench.views.explore import ESTIMATOR_TITLES

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
                self.reading = facts()
                self.moving = plot(elem_id="over-time", min_height=420)
            with gr.Column(scale=5, min_width=340):
                with gr.Row():
                    self.bits = gr.Radio(
                        list(BITS),
                        label="Grid: bits",
                        elem_classes="wb-bits",
                        scale=2,
                        min_width=230,
                    )
                    titles = [(ESTIMATOR_TITLES[e], e) for e in ESTIMATORS]
                    self.estimator = gr.Dropdown(titles, label="Clip limits from", min_width=140)
                self.log = gr.Checkbox(label="Logarithmic count")
                self.says = facts(elem_id="calibration-says")
                self.error = plot(elem_id="calibration-error", min_height=330)
        with gr.Accordion("The same numbers as a table", open=False):
            self.numbers = table(elem_id="time-numbers")
        self.detail = [self.facts, self.reading, self.moving, self.says, self.error, self.numbers]
        self.rest = [self.plot, self.bits, self.estimator, self.log]

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        for name in ("plot", "bits", "estimator", "log"):
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], self.detail)

    def paint(self, session: Session) -> Updates:
        """The selected layer."""
        selection, opened = session.selection, session.opened
        stats, timesteps = opened.capture[selection.layer], opened.capture.timesteps
        key = ("curves", selection.layer, selection.step, selection.grid)
        curves = opened.remembered(key, lambda: calibration_curves(stats, selection, timesteps))
        draw = PLOTS[selection.plot]
        return {
            self.plot: selection.plot,
            self.bits: selection.bits,
            self.estimator: selection.estimator,
            self.log: selection.log,
            self.facts: drift_facts(selection.layer, stats, timesteps),
            self.reading: {"text": READING[selection.plot]},
            self.moving: draw(stats, timesteps, selection.step, selection.log),
            self.says: curves_say(curves, timesteps, selection),
            self.error: calibration_error(curves, timesteps, selection.step),
            self.numbers: curve_table(selection.layer, curves, timesteps),
        }


def calibration_curves(
    stats: LayerStats, selection: Selection, timesteps: Array
) -> dict[str, Array]:
    """Predicted SQNR in dB [T] for a grid of each step's own, of all steps, of the selected."""
    how = (selection.bits, selection.symmetric, selection.estimator)
    own = [float(predict_sqnr_db(stats.at(i), *how)) for i in range(len(timesteps))]
    at_step = estimate_range(stats.at(selection.step), *how)
    t = timesteps[selection.step]
    return {
        "a grid of its own for every timestep": np.array(own),
        "one grid, calibrated over all timesteps": predict_sqnr_db(stats, *how),
        f"one grid, calibrated at t = {t:g} only": predict_sqnr_db(stats, *how, clip=at_step),
    }


def curves_say(curves: dict[str, Array], timesteps: Array, selection: Selection) -> dict[str, str]:
    """The worst that one step's grid does to another, in a sentence."""
    own, everything, one = curves.values()
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
