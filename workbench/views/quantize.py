"""Quantize: choose bits and a method, see what the capture predicts, then do it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from analysis.errors import UserError
from workbench.components import facts, plot, table
from workbench.components.asker import asker
from workbench.components.form import form
from workbench.figures.learning import loss_table, losses
from workbench.figures.results import agreement, layer_sqnr
from workbench.foretelling import quantize_cost
from workbench.forms import LOADING, form_value, with_method, with_part, with_preset, with_value
from workbench.heavy import is_loaded, load_heavy
from workbench.jobs import Work
from workbench.page import Page, Updates, setting
from workbench.prediction import planned, predicted
from workbench.real import with_int8_profile
from workbench.recipe import is_plain, method_of, usable
from workbench.running import Runner
from workbench.selection import PLAN_BITS, PRESETS
from workbench.session import Session
from workbench.variants import applied
from workbench.views import quantize_says as say
from workbench.views.applying import quantize_work
from workbench.views.layers import clear, keep_worst, layer_table, set_bits

CONTROLS = ("weight_bits", "act_bits", "preset")
PRESET_TITLES = {"instant": "Instant", "fast": "Fast", "paper": "Paper"}


class Quantize:
    """The plan, its prediction, and the quantized model."""

    name, title = "quantize", "Quantize"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        gr.Markdown(
            "**Fewer bits make the model smaller and noisier.** The points show how clean every "
            "layer's input would stay, read off the capture while you choose. Apply then makes the "
            "quantized model."
        )
        self.asker = asker(elem_id="asker")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._build_controls()
            with gr.Column(scale=7, min_width=340):
                self.says = facts(elem_id="predicted")
                self.plot = plot(elem_id="layer-sqnr", min_height=360)
        with gr.Accordion("Options of the method, and parts to leave out", open=False):
            self.form = form(elem_id="method-form")
        with gr.Accordion("Bits of single layers", open=False):
            self._build_layers()
        self.losses = plot(elem_id="losses")
        self.loss_table = table(elem_id="loss-table")
        self.result = facts(elem_id="quantized")
        self.agreement = plot(elem_id="agreement")
        shown = [self.result, self.agreement, self.losses, self.loss_table]
        self.detail = [self.says, self.plot, self.table, self.note, *shown]
        settings = [getattr(self, name) for name in CONTROLS]
        self.rest = [*settings, self.method, self.form, self.calibrate_on, self.asker]

    def _build_controls(self) -> None:
        bits = [("float" if b == 32 else str(b), b) for b in PLAN_BITS]
        self.weight_bits = gr.Radio(
            bits, label="Weights: bits", elem_id="weight-bits", elem_classes="wb-bits"
        )
        self.act_bits = gr.Radio(
            bits, label="Activations: bits", elem_id="act-bits", elem_classes="wb-bits"
        )
        self.method = gr.Dropdown(
            [("Round to nearest", "rtn")], value="rtn", label="Method", elem_id="method"
        )
        self.preset = gr.Radio(
            [(PRESET_TITLES[name], name) for name in PRESETS],
            value="instant",
            label="Preset: how much is spent",
            elem_id="preset",
        )
        self.calibrate_on = gr.Radio(
            ["set", "own"], label="Calibrate on", visible=False, elem_id="calibrate-on"
        )
        self.runner = Runner("Quantizing", "Apply", "apply", foretells=True)
        self.profile = gr.Button(
            "Set the int8 profile: what integer kernels take", elem_id="int8-profile", size="sm"
        )
        self.note = facts(elem_id="apply-note")

    def _build_layers(self) -> None:
        gr.Markdown(
            "Choose bits in the table, or keep the layers fine that lose most: by what was "
            "measured of the model made last, or by the prediction where there is none."
        )
        with gr.Row(elem_classes="wb-run"):
            self.count = gr.Number(
                5, precision=0, label="k layers", min_width=90, elem_id="worst-count"
            )
            self.keep = gr.Button("Keep the k most sensitive at 8 bits", elem_id="keep-worst")
            self.clear = gr.Button("All as the plan", elem_id="clear-own", min_width=120)
        self.table = table(elem_id="layer-table")

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        everything = [*self.detail, *self.rest]
        for name in ("weight_bits", "act_bits"):
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], self.detail)
        page.on(self.method.input, _method, [self.method], everything)
        page.on(self.preset.input, _preset, [self.preset], everything)
        page.on(self.profile.click, _int8_profile, [], everything)
        page.on(self.calibrate_on.input, _calibrate_on, [self.calibrate_on], self.detail)
        page.on_part(self.asker, "fill", _fill, everything)
        page.on_part(self.form, "set", _set, [*self.detail, self.form])
        page.on_part(self.form, "part", _part, [*self.detail, self.form])
        for listed in (self.plot, self.agreement, self.table):
            page.on_part(listed, "select", _choose, self.detail)
        page.on_part(self.table, "input", set_bits, self.detail)
        page.on(self.keep.click, keep_worst, [self.count], self.detail)
        page.on(self.clear.click, clear, [], self.detail)

        def prepare(session: Session) -> Work:
            return quantize_work(page, session)

        self.runner.wire(
            page,
            prepare,
            [],
            live=self._paint_losses,
            foretell=partial(quantize_cost, page),
            stale=[
                *(getattr(self, name).input for name in CONTROLS),
                *(self.method.input, self.calibrate_on.input, self.form.set, self.form.part),
                *(self.table.input, self.keep.click, self.clear.click, self.profile.click),
            ],
        )

    def paint(self, session: Session) -> Updates:
        """The prediction for what is set, and the model that was made last."""
        if is_loaded():
            known, problem = usable(session.selection)
            if problem:
                session.selection = known
                session.drawn["passed_over"] = problem
        elif not is_plain(session.selection):
            return {**self._paint_controls(session), self.says: say.LOADING}
        opened = session.opened
        values = predicted(opened, planned(session))
        kinds = [layer.kind for layer in opened.layers]
        return {
            **self._paint_controls(session),
            self.says: say.prediction(session, values),
            self.plot: layer_sqnr(opened.names, kinds, values, session.overrides.keys()),
            self.table: layer_table(session, values),
            self.result: say.result(session),
            **self._paint_agreement(session),
            **self._paint_losses(session),
        }

    def _paint_controls(self, session: Session) -> Updates:
        selection = session.selection
        loaded = is_loaded()
        wrong = session.drawn.get("wrong") or {}
        return {
            **{getattr(self, name): getattr(selection, name) for name in CONTROLS},
            self.preset: gr.Radio(value=selection.preset, info=say.preset(selection)),
            self.method: gr.Dropdown(choices=_methods(selection.method), value=selection.method),
            self.form: form_value(selection, wrong) if loaded else LOADING,
            self.calibrate_on: say.calibrate_on(session),
            self.note: say.note(session),
            self.asker: not loaded,
        }

    def _paint_agreement(self, session: Session) -> Updates:
        variant = applied(session)
        if session.shows(self.agreement, variant.number if variant else None):
            return {}
        if variant is None or not variant.errors:
            return {self.agreement: None}
        into = {name: error.input_db for name, error in variant.errors.items()}
        out = {name: error.output_db for name, error in variant.errors.items()}
        return {self.agreement: agreement(variant.predicted, into, out)}

    def _paint_losses(self, session: Session) -> Updates:
        points = list(session.losses)  # the job adds to it meanwhile
        if session.shows(self.losses, (len(points), id(session.losses))):
            return {}
        return {self.losses: losses(points), self.loss_table: loss_table(points)}


def _methods(chosen: str) -> list[tuple[str, str]]:
    """The registered methods once they are known, else the one that is chosen."""
    if not is_loaded():
        return [("Round to nearest" if chosen == "rtn" else chosen, chosen)]
    from analysis.methods import METHODS

    return [(METHODS.get(name).title, name) for name in METHODS]


def _fill(session: Session, value: Any, index: Any) -> None:
    load_heavy()


def _method(session: Session, name: str) -> None:
    chosen = with_method(session.selection, name)
    method_of(chosen)
    session.selection = chosen
    session.drawn |= {"wrong": {}, "passed_over": ""}


def _preset(session: Session, preset: str) -> None:
    session.selection = with_preset(session.selection, preset)
    session.drawn |= {"wrong": {}, "passed_over": ""}


def _int8_profile(session: Session) -> None:
    """W8A8 with symmetric weights: what integer kernels take."""
    load_heavy()  # takes seconds the first time, in which other events may change the selection
    session.selection = with_int8_profile(session.selection)
    session.drawn |= {"wrong": {}, "passed_over": ""}


def _calibrate_on(session: Session, choice: str) -> None:
    session.drawn["calibrate_on"] = choice


def _set(session: Session, value: Any, name: Any) -> None:
    """One option of the form; what will not do stays in its field, with the reason below it."""
    wrong = {k: v for k, v in (session.drawn.get("wrong") or {}).items() if k != name}
    try:
        session.selection = with_value(session.selection, str(name), value)
    except UserError as error:
        wrong[str(name)] = (str(value)[:40], str(error))
    session.drawn |= {"wrong": wrong, "passed_over": ""}


def _part(session: Session, out: Any, name: Any) -> None:
    session.selection = with_part(session.selection, str(name), out is True)


def _choose(session: Session, layer: Any, index: Any) -> None:
    if layer not in session.opened.names:
        raise UserError("This layer is not part of the capture that is open.")
    session.selection = replace(session.selection, layer=layer)
