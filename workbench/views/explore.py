"""Explore: every layer at every timestep, and what the selected cell looks like inside."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import gradio as gr
import numpy as np

from analysis.errors import UserError
from workbench.captures import OpenCapture
from workbench.components import facts, plot, table
from workbench.figures.channels import channels
from workbench.figures.heatmap import heatmap
from workbench.figures.histogram import histogram
from workbench.page import Page, Updates, setting
from workbench.selection import BITS, ESTIMATORS, KINDS, Selection
from workbench.session import Session
from workbench.statistics import STATISTICS
from workbench.views import cell

ESTIMATOR_TITLES = {"minmax": "Min-max", "percentile": "Percentile 99.99", "lp": "Least Lp error"}
KIND_TITLES = {"all": "All", "conv": "Convolutions", "linear": "Linear", "attention": "Attention"}
CONTROLS = ("stat", "kind", "bits", "symmetric", "estimator", "scope", "log", "find")


class Explore:
    """The overview heatmap and the selected cell."""

    name, title = "explore", "Explore"

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        gr.Markdown(
            "**Each row is a layer, each column a moment of sampling.** Noise is on the left, the "
            "finished picture on the right. Click a cell to look inside; arrow keys move it."
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=340):
                self._build_map()
            with gr.Column(scale=6, min_width=340):
                self._build_cell()
        with gr.Accordion("The same numbers as tables", open=False):
            self.numbers = table(elem_id="cell-numbers")
            self.over_time = table(elem_id="layer-numbers")
        self.detail = [self.facts, self.histogram, self.channels, self.numbers, self.over_time]
        self.controls = [getattr(self, name) for name in CONTROLS]
        self.rest = [self.explanation, self.map, *self.controls]

    def _build_map(self) -> None:
        with gr.Row():
            choices = [(s.title, s.name) for s in STATISTICS.values()]
            self.stat = gr.Dropdown(
                choices, label="Colour shows", elem_id="stat", min_width=200, scale=2
            )
            kinds = [(KIND_TITLES[k], k) for k in KINDS]
            self.kind = gr.Dropdown(kinds, label="Layers", elem_id="kind", min_width=110)
            self.find = gr.Textbox(
                label="Name contains", placeholder="e.g. up_blocks", max_lines=1, min_width=120
            )
        self.explanation = facts(elem_id="stat-says")
        self.map = plot(elem_id="heatmap", min_height=300)

    def _build_cell(self) -> None:
        self.facts = facts(elem_id="cell")
        self.histogram = plot(elem_id="histogram", min_height=330)
        with gr.Row():
            self.bits = gr.Radio(
                list(BITS),
                label="Grid: bits",
                elem_classes="wb-bits",
                scale=2,
                elem_id="bits",
                min_width=230,
            )
            titles = [(ESTIMATOR_TITLES[e], e) for e in ESTIMATORS]
            self.estimator = gr.Dropdown(
                titles, label="Clip limits from", elem_id="estimator", min_width=150
            )
        with gr.Row(elem_classes="wb-tight"):
            scopes = [("all timesteps", "all"), ("this timestep only", "step")]
            self.scope = gr.Radio(scopes, label="Grid fits", elem_id="scope", min_width=220)
            with gr.Column(min_width=150):
                self.symmetric = gr.Checkbox(label="Symmetric around 0")
                self.log = gr.Checkbox(label="Logarithmic count")
        gr.Markdown("#### Range of each channel", elem_classes="wb-small")
        self.channels = plot(elem_id="channels", min_height=210)

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        overview = [*self.detail, self.explanation, self.map]
        for name in CONTROLS[:-1]:
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], overview)
        page.on(self.find.input, _find, [self.find], overview)
        page.on_part(self.map.select, _choose_cell, self.detail)

    def paint(self, session: Session) -> Updates:
        """The selected cell, and the heatmap if it has changed."""
        selection, opened = session.selection, session.opened
        stats = opened.capture[selection.layer].at(selection.step)
        levels = cell.levels(opened, selection)
        return {
            **self._paint_controls(selection),
            **self._paint_map(session),
            self.facts: cell.facts(opened, selection, levels),
            self.histogram: histogram(stats, levels, cell.window(opened, selection), selection.log),
            self.channels: channels(stats, cell.seam(opened, selection.layer)),
            self.numbers: cell.table(opened, selection),
            self.over_time: cell.time_table(opened, selection),
        }

    def _paint_controls(self, selection: Selection) -> Updates:
        return {getattr(self, name): getattr(selection, name) for name in CONTROLS}

    def _paint_map(self, session: Session) -> Updates:
        selection, opened = session.selection, session.opened
        statistic = STATISTICS[selection.stat]
        grid = selection.grid if statistic.uses_grid else None
        state = (opened.key, selection.stat, selection.kind, selection.find, grid)
        if session.drawn.get("map") == state:
            return {}
        session.drawn["map"] = state
        rows = visible_rows(opened, selection)
        values = opened.table(selection.stat, selection.grid)[rows]
        names = [opened.names[i] for i in rows]
        return {
            self.map: heatmap(
                values,
                names,
                opened.capture.timesteps,
                statistic.title,
                statistic.unit,
                statistic.log,
            ),
            self.explanation: {"text": statistic.explanation},
        }


def visible_rows(opened: OpenCapture, selection: Selection) -> np.ndarray:
    """Positions of the layers that the filters leave.

    Raises:
        UserError: when they leave none.
    """
    wanted = selection.find.strip()
    glob = wanted if any(c in wanted for c in "*?[") else f"*{wanted}*"
    rows = [
        i
        for i, layer in enumerate(opened.layers)
        if selection.kind in ("all", layer.kind) and fnmatchcase(layer.name, glob)
    ]
    if not rows:
        raise UserError(
            f"No layer of this kind has {wanted!r} in its name; names look like "
            f"{opened.names[len(opened.names) // 2]!r}."
        )
    return np.array(rows)


def _find(session: Session, text: str) -> None:
    wanted = replace(session.selection, find=(text or "")[:80])
    visible_rows(session.opened, wanted)
    session.selection = wanted


def _choose_cell(session: Session, layer: Any, index: Any) -> None:
    if layer in session.opened.names and isinstance(index, list) and len(index) == 2:
        step = max(0, min(session.opened.steps - 1, int(index[1])))
        session.selection = replace(session.selection, layer=layer, step=step)
