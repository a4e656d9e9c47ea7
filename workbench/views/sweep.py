"""Sweep: which layers need their bits, and which method is worth its size."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from analysis.errors import UserError
from workbench.components import downloads, facts, plot, table
from workbench.figures.calibration import empty
from workbench.figures.pareto import COSTS, GAINS, pareto
from workbench.figures.sensitivity import sensitivity
from workbench.foretelling import sweep_cost
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, Told, Updates, hear, sent, setting, wrong
from workbench.recipe import overrides_of
from workbench.running import Runner
from workbench.selection import PRESETS, SWEEP_PLANS
from workbench.session import Session
from workbench.views.sweep_choices import all_plans, methods, sets
from workbench.views.sweep_says import (
    files,
    layer_files,
    layer_says,
    layer_table,
    layers_of,
    row_says,
    row_table,
)
from workbench.views.sweep_work import keep_apart, layer_work, load_row, sweep_work

NUMBERS = (
    "layer_seconds",
    "finalists",
    "apart",
    "sweep_samples",
    "sweep_steps",
    "sweep_seconds",
)


class Sweep:
    """Layer by layer, then configuration by configuration."""

    name, title = "sweep", "Sweep"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        gr.Markdown(
            "**Which layers need their bits, and which method is worth its size?** First measure "
            "every layer alone; then run whole configurations side by side."
        )
        self._build_layers()
        self._build_rows(page)
        self.detail = [self.layer_plot, self.layer_table]
        self.of_layers = [*self.detail, self.layer_says, self.layer_files]
        self.of_rows = [self.row_says, self.pareto, self.row_table, self.row_files]
        numbers = [getattr(self, name) for name in NUMBERS]
        lists = [self.methods, self.plans, self.more_plans, self.sets]
        shown = [self.keep, self.with_apart, self.preset, self.x, self.y]
        self.rest = [self.layer_says, self.layer_files, *self.of_rows, *numbers, *lists, *shown]

    def _build_layers(self) -> None:
        gr.Markdown("## Sensitivity: one layer quantized at a time", elem_classes="wb-part")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self.layer_says = facts(elem_id="layer-says")
                with gr.Row():
                    self.layer_seconds = _number("Time budget (s)", "layer-seconds")
                    self.finalists = _number("Finalists sampled whole", "finalists")
                self.layers = Runner("Measuring", "Measure", "run-layers")
                with gr.Row():
                    self.apart = _number("Layers to keep (k)", "apart")
                    self.keep = gr.Button("Keep them at 8 bits", elem_id="keep-apart")
                self.layer_files = downloads(elem_id="layer-files")
            with gr.Column(scale=7, min_width=340):
                self.layer_plot = plot(elem_id="layer-plot", min_height=200)
        with gr.Accordion("Every layer as a table", open=False):
            self.layer_table = table(elem_id="sensitivity-table")

    def _build_rows(self, page: Page) -> None:
        gr.Markdown("## Sweep: methods x plans x calibrations", elem_classes="wb-part")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._build_form(page)
            with gr.Column(scale=7, min_width=340):
                self.row_says = facts(elem_id="row-says")
                with gr.Row():
                    self.x = _axis(COSTS, "Cost", "sweep-x")
                    self.y = _axis(GAINS, "Quality", "sweep-y")
                self.pareto = plot(elem_id="pareto", min_height=200)
        self.row_table = table(elem_id="row-table")
        self.row_files = downloads(elem_id="row-files")

    def _build_form(self, page: Page) -> None:
        known = [(title, name) for name, title in methods().items()]
        self.methods = gr.CheckboxGroup(known, label="Methods", elem_id="sweep-methods")
        self.plans = gr.CheckboxGroup(
            list(SWEEP_PLANS), label="Plans: bits of weights and activations", elem_id="sweep-plans"
        )
        self.more_plans = gr.Textbox(
            label="More plans, such as W5A6 W3A8", max_lines=1, elem_id="more-plans"
        )
        self.sets = gr.CheckboxGroup(sets(), label="Calibrations", elem_id="sweep-sets")
        self.with_apart = gr.Checkbox(label=with_layers(0), elem_id="with-apart")
        self.preset = gr.Radio(
            [(name.capitalize(), name) for name in PRESETS],
            label="Preset: how much is spent on each",
            interactive=not page.settings.demo,
            elem_id="sweep-preset",
        )
        with gr.Row():
            self.sweep_samples = _number("Pictures (N)", "sweep-samples")
            self.sweep_steps = _number("Steps", "sweep-steps")
            self.sweep_seconds = _number("Time budget (s)", "sweep-seconds")
        self.rows = Runner("Sweeping", "Sweep", "run-sweep", foretells=True)

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        for name in NUMBERS:
            follows = [self.layer_says, self.keep] if name == "apart" else []
            page.on(getattr(self, name).input, setting(name), [getattr(self, name)], follows)
        page.on(self.methods.input, _setting_list("sweep_methods"), [self.methods], [])
        page.on(self.sets.input, _setting_list("sweep_sets"), [self.sets], [])
        both = [self.plans, self.more_plans]
        for control in both:
            page.on(control.input, _set_plans, both, [])
        for control, name in ((self.x, "sweep_x"), (self.y, "sweep_y")):
            page.on(control.input, setting(name), [control], self.of_rows)
        page.on(self.preset.input, setting("sweep_preset"), [self.preset], [])
        page.on(self.keep.click, keep_apart, [], [*self.of_layers, self.with_apart, self.keep])
        for part in (self.layer_plot, self.layer_table):
            page.on_part(part, "select", _choose_layer, self.detail)
        self._wire_rows(page)
        self._wire_work(page)
        self.tab.select(
            _registered, None, [self.methods, self.sets], queue=False, show_progress="hidden"
        )

    def _wire_rows(self, page: Page) -> None:
        """A click on a row or a point sets Quantize, and goes there."""

        def load(request: gr.Request, told: Told) -> Updates:
            row, _ = told[-1]
            with page.session_of(request) as session:
                try:
                    said = {"kind": "info", "text": load_row(session, row)}
                    painted = page.paint(session)
                except UserError as error:
                    return sent({page.notice: wrong(error)})
                session.drawn["said"] = said  # the tab that opens clears what was said before
            return sent({**painted, page.notice: said, page.tabs: gr.Tabs(selected="quantize")})

        for part in (self.row_table, self.pareto):
            hear(part, "select", load, [page.tabs, *page.outputs])

    def _wire_work(self, page: Page) -> None:
        def measure(session: Session, seconds: Any, finalists: Any) -> Work:
            return layer_work(page, session, seconds, finalists)

        def run(session: Session, chosen: Any, plans: Any, more: str, *rest: Any) -> Work:
            return sweep_work(page, session, chosen, all_plans(plans, more), *rest)

        def cost(session: Session, chosen: Any, plans: Any, more: str, *rest: Any) -> Any:
            return sweep_cost(page, session, chosen, all_plans(plans, more), *rest)

        self.layers.wire(
            page, measure, [self.layer_seconds, self.finalists], live=self._paint_layers
        )
        lists = [self.methods, self.plans, self.more_plans, self.sets]
        numbers = [self.sweep_samples, self.sweep_steps, self.sweep_seconds]
        form = [*lists, *numbers, self.with_apart, self.preset]
        self.rows.wire(
            page,
            run,
            form,
            live=self._paint_rows,
            foretell=cost,
            stale=[control.input for control in form],
        )

    def paint(self, session: Session) -> Updates:
        """The layers and rows that are there, or what to do first."""
        selection, apart = session.selection, len(overrides_of(session))
        plans = selection.sweep_plans.split(".") if selection.sweep_plans else []
        return {
            **{getattr(self, name): getattr(selection, name) for name in NUMBERS},
            self.methods: [name for name in _list(selection.sweep_methods) if name in methods()],
            self.plans: [plan for plan in plans if plan in SWEEP_PLANS],
            self.more_plans: " ".join(plan for plan in plans if plan not in SWEEP_PLANS),
            self.sets: [n for n in _list(selection.sweep_sets) if n in dict(sets()).values()],
            self.with_apart: gr.Checkbox(
                label=with_layers(apart),
                interactive=bool(apart),
            ),
            self.keep: gr.Button(
                f"Keep the {selection.apart} most sensitive at 8 bits",
                interactive=layers_of(session) is not None,
            ),
            self.preset: selection.sweep_preset,
            self.x: selection.sweep_x,
            self.y: selection.sweep_y,
            **self._paint_layers(session),
            **self._paint_rows(session),
        }

    def _paint_layers(self, session: Session) -> Updates:
        return {
            self.layer_says: layer_says(session),
            self.layer_plot: layer_plot(session),
            self.layer_table: layer_table(session),
            self.layer_files: layer_files(session),
        }

    def _paint_rows(self, session: Session) -> Updates:
        return {
            self.row_says: row_says(session),
            self.pareto: row_plot(session),
            self.row_table: row_table(session),
            self.row_files: files(session),
        }


def with_layers(apart: int) -> str:
    """What a sweep may take over from Quantize, in words."""
    if apart == 0:
        return "With layers that have bits of their own (none are set)"
    if apart == 1:
        return "With the 1 layer that has bits of its own in Quantize"
    return f"With the {apart} layers that have bits of their own in Quantize"


def row_plot(session: Session) -> dict[str, Any]:
    """The rows as a figure; what to do, or to read, where there is none to draw."""
    rows, selection = session.swept.rows, session.selection
    if not rows:
        return empty("Choose methods and plans, and press Sweep.", 200)
    if all(row.error for row in rows):
        return empty("Every row failed; the table has the reasons.", 200)
    return pareto(rows, selection.sweep_x, selection.sweep_y)


def layer_plot(session: Session) -> dict[str, Any]:
    """The sensitivity as a figure; what to do where nothing was measured."""
    found = layers_of(session)
    if found is None:
        return empty("Press Measure.", 200)
    measured, expected = (
        np.array([np.nan if value is None else value for value in values])
        for values in zip(*((row.sqnr_db, row.predicted_db) for row in found.rows), strict=True)
    )
    kept = [name for name in session.swept.raised if name in session.overrides]
    names, kinds = [row.name for row in found.rows], [row.kind for row in found.rows]
    return sensitivity(names, kinds, measured, expected, kept, session.selection.layer)


def _set_plans(session: Session, chosen: list[str], more: str) -> None:
    """Into the address go only plans that are written as plans are."""
    written = [text for text in all_plans(chosen, more) if re.fullmatch(r"W\d{1,2}A\d{1,2}", text)]
    session.selection = replace(session.selection, sweep_plans=".".join(written[:12]))


def _setting_list(name: str) -> Any:
    def change(session: Session, values: list[str]) -> None:
        session.selection = replace(session.selection, **{name: ".".join(values)})

    return change


def _list(text: str) -> list[str]:
    return [name for name in text.split(".") if name]


def _choose_layer(session: Session, layer: Any, index: Any) -> None:
    if layer not in session.opened.names:
        raise UserError("This layer is not part of the capture that is open.")
    session.selection = replace(session.selection, layer=layer)


def _number(label: str, elem_id: str) -> Any:
    return gr.Number(label=label, precision=0, elem_id=elem_id, min_width=90)


def _axis(measures: dict[str, Any], label: str, elem_id: str) -> Any:
    shown = [(f"{m.short} ({m.unit})", name) for name, m in measures.items()]
    return gr.Dropdown(shown, label=label, elem_id=elem_id, min_width=140)


def _registered() -> list[Any]:
    """Methods and samplers that others have filed: reading them loads torch, so it waits."""
    load_heavy()
    known = [(title, name) for name, title in methods().items()]
    return [gr.CheckboxGroup(known), gr.CheckboxGroup(sets())]
