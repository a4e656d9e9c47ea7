"""Explore: every layer at every timestep, and what the selected cell looks like inside."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import gradio as gr
import numpy as np

from analysis.errors import UserError
from workbench.captures import OpenCapture
from workbench.components import clip_plot, facts, plot, table
from workbench.figures.channels import channels
from workbench.figures.heatmap import heatmap
from workbench.figures.histogram import histogram
from workbench.grids import clipped
from workbench.page import NothingToDo, Page, Updates, setting
from workbench.selection import KINDS, Selection
from workbench.session import Session
from workbench.statistics import STATISTICS
from workbench.views import cell, grid_controls
from workbench.views.grid_controls import ESTIMATOR_TITLES, GridControls
from workbench.views.late import Late

KIND_TITLES = {"all": "All", "conv": "Convolutions", "linear": "Linear", "attention": "Attention"}
CONTROLS = ("stat", "kind", "scope", "log", "find")


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
        gr.Markdown("## What if the grid were another?", elem_classes="wb-part")
        self.grid = GridControls()
        with gr.Accordion("The same numbers as tables", open=False) as self.tables:
            self.numbers = table(elem_id="cell-numbers")
            self.over_time = table(elem_id="layer-numbers")
            self.each = table(elem_id="channel-numbers")
            self.own = table(elem_id="own-grids")
        self.detail = [self.facts, self.histogram, self.channels, self.grid.says]
        self.controls = [getattr(self, name) for name in CONTROLS]
        tables = [self.numbers, self.over_time, self.each, self.own]
        self.late = Late(self.name, tables, self.grid.knobs)
        self.rest = [self.explanation, self.map, *self.controls, *tables, *self.grid.knobs]

    def _build_map(self) -> None:
        with gr.Row():
            choices = [(s.title, s.name) for s in STATISTICS.values()]
            self.stat = gr.Dropdown(
                choices, label="Colour shows", elem_id="stat", min_width=230, scale=2
            )
            kinds = [(KIND_TITLES[k], k) for k in KINDS]
            self.kind = gr.Dropdown(kinds, label="Layers", elem_id="kind", min_width=110)
            self.find = gr.Textbox(
                label="Name contains", placeholder="e.g. up_blocks", max_lines=1, min_width=120
            )
        self.explanation = facts(elem_id="stat-says")
        self.map = plot(elem_id="heatmap")

    def _build_cell(self) -> None:
        self.facts = facts(elem_id="cell")
        self.histogram = clip_plot(elem_id="histogram")
        with gr.Row(elem_classes="wb-tight"):
            scopes = [("all timesteps", "all"), ("this timestep only", "step")]
            self.scope = gr.Radio(scopes, label="Drawn grid fits", elem_id="scope", scale=2)
            self.log = gr.Checkbox(label="Logarithmic count", min_width=170)
        gr.Markdown("### Range of each channel", elem_classes="wb-small")
        self.channels = plot(elem_id="channels")

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        overview = [*self.detail, self.explanation, self.map, *self.grid.knobs]
        for name in CONTROLS[:-1]:
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], overview)
        page.on(self.find.input, _find, [self.find], overview)
        page.on_part(self.map, "select", _choose_cell, self.detail)
        page.on_part(self.own, "select", _choose_layer, self.detail)
        page.on_part(self.histogram, "drag", drag, [self.facts, self.histogram])
        page.on_part(self.histogram, "clip", clip, overview)
        self.grid.wire(page, self.late, overview)
        self.late.wire(page, self.tables, self.facts)

    def paint(self, session: Session) -> Updates:
        """The selected cell, and the heatmap if it has changed."""
        selection, opened = session.selection, session.opened
        stats = opened.capture[selection.layer].at(selection.step)
        ends = cell.ends(opened, selection)
        levels, window = cell.levels(selection, ends), cell.window(opened, selection)
        dragging = session.drawn.pop("dragging", False)
        drawn = {
            self.facts: {
                **cell.facts(opened, selection, levels),
                "late": self.late.wanted(session) and not dragging,
            },
            self.histogram: histogram(
                stats, levels, window, selection.log, ends, selection.grid.symmetric
            ),
        }
        if dragging:
            return drawn
        return {
            **drawn,
            **{getattr(self, name): getattr(selection, name) for name in CONTROLS},
            **self.grid.paint(opened, selection),
            **self._paint_map(session),
            self.channels: channels(stats, cell.seam(opened, selection.layer)),
            self.numbers: cell.table(opened, selection),
            self.over_time: cell.time_table(opened, selection),
            self.own: grid_controls.own_table(opened, selection),
            self.each: cell.channel_table(opened, selection),
        }

    def _paint_map(self, session: Session) -> Updates:
        selection, opened = session.selection, session.opened
        statistic = STATISTICS[selection.stat]
        grids = (selection.base, selection.own) if statistic.uses_grid else None
        state = (opened.key, selection.stat, selection.kind, selection.find, grids)
        if session.shows(self.map, state):
            return {}
        rows = visible_rows(opened, selection)
        values = opened.table(selection.stat, selection.base, selection.own)[rows]
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
    typed = (text or "")[:80].encode("utf-8", "replace").decode()  # halves of letters stay out
    wanted = replace(session.selection, find=typed)
    visible_rows(session.opened, wanted)
    session.selection = wanted


def _choose_cell(session: Session, layer: Any, index: Any) -> None:
    if layer in session.opened.names and isinstance(index, list) and len(index) == 2:
        step = max(0, min(session.opened.steps - 1, int(index[1])))
        session.selection = replace(session.selection, layer=layer, step=step)


def _choose_layer(session: Session, layer: Any, index: Any) -> None:
    if layer not in session.opened.names:
        raise NothingToDo
    session.selection = replace(session.selection, layer=layer)


def clip(session: Session, value: Any, index: Any) -> None:
    """A range drawn by hand; `index` counts what the handles ask for."""
    ends = value if isinstance(value, list) and len(value) == 2 else [None]
    if not all(type(end) in (int, float) for end in ends):
        raise NothingToDo
    session.selection = clipped(session.selection, *ends)
    if type(index) is int:
        session.drawn["clips"] = index


def drag(session: Session, value: Any, index: Any) -> None:
    """As `clip`, while the handle is held: the map waits until it is let go."""
    if type(index) is not int or index < session.drawn.get("clips", 0):
        raise NothingToDo  # overtaken by the end of its drag
    clip(session, value, index)
    session.drawn["dragging"] = True


__all__ = ["ESTIMATOR_TITLES", "Explore", "clip", "drag", "visible_rows"]
