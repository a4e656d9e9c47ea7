"""Calibration lab: samplers drawn side by side, and what each does to the quantized model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from analysis.errors import UserError
from workbench.components import bars, facts, plot, table
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import NothingToDo, Page, Updates, setting
from workbench.running import Runner
from workbench.samplers import choices, read_samplers
from workbench.selection import COUNTS_AS
from workbench.session import Session
from workbench.views import calibration_plots as plots
from workbench.views import calibration_says as words
from workbench.views.calibration_bars import FILLS, edit, editor, fill
from workbench.views.calibration_work import NOTHING_DRAWN, draw_work, effect_work, stability_work

NUMBERS = ("cal_size", "cal_steps", "cal_seed", "repeats")


class Calibration:
    """Draw, look, measure, repeat."""

    name, title = "calibration", "Calibration"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        gr.Markdown(
            "**Which noisy samples a quantizer sees decides its ranges.** Draw sets with several "
            "samplers, see where their samples lie, and measure what each set does to scales and "
            "to the predicted noise."
        )
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._build_form()
            with gr.Column(scale=7, min_width=340):
                self._build_counts()
        self._build_sets()
        self._build_effect()
        self._build_stability()
        self._sort_parts()

    def _build_form(self) -> None:
        self.samplers = gr.CheckboxGroup(choices(), label="Samplers", elem_id="samplers")
        with gr.Accordion("What each sampler does", open=False):
            gr.Markdown(words.SAMPLERS)
        with gr.Row():
            self.cal_size = gr.Number(
                label="Samples", precision=0, elem_id="cal-size", min_width=80
            )
            self.cal_steps = gr.Number(
                label="Steps", precision=0, elem_id="cal-steps", min_width=80
            )
            self.cal_seed = gr.Number(label="Seed", precision=0, elem_id="cal-seed", min_width=80)
        self.draw = Runner("Drawing", "Draw", "draw")
        gr.Markdown("**Custom: a histogram of your own**")
        self.bars = bars(elem_id="histogram-editor")
        self.fill = gr.Dropdown(FILLS, value=None, label="Fill it with", elem_id="fill")

    def _build_counts(self) -> None:
        shown = [(name.capitalize(), name) for name in COUNTS_AS]
        self.counts_as = gr.Radio(shown, label="Counts as", elem_id="counts-as")
        gr.Markdown(words.CURVES, elem_classes="wb-small")
        self.counts = plot(elem_id="counts", min_height=200)
        with gr.Accordion("The same numbers as a table", open=False):
            self.step_table = table(elem_id="step-table")

    def _build_sets(self) -> None:
        gr.Markdown("## Drawn sets", elem_classes="wb-part")
        self.table = table(elem_id="set-table")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                self.says = facts(elem_id="set-says")
                with gr.Row():
                    self.use = gr.Button("Use for Apply", elem_id="use-set", min_width=120)
                    self.remove = gr.Button("Remove", elem_id="remove-set", min_width=90)
                    self.clear = gr.Button("Remove all", elem_id="remove-sets", min_width=100)
            with gr.Column(scale=7, min_width=340):
                self.projection = gr.Radio(
                    [(plots.PLANES[name], name) for name in plots.planes()],
                    label="Features of the middle of the network, by",
                    elem_id="projection",
                )
                self.placed = facts(elem_id="placed-says")
                self.scatter = plot(elem_id="scatter", min_height=200)

    def _build_effect(self) -> None:
        gr.Markdown("## Effect on scales and on one step", elem_classes="wb-part")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self.effect_says = facts(elem_id="effect-says")
                self.measure = Runner("Measuring", "Measure", "measure")
                self.errors = plot(elem_id="set-errors", min_height=130)
            with gr.Column(scale=7, min_width=340):
                self.scales = plot(elem_id="set-scales", min_height=130)
        with gr.Accordion("Every layer as a table", open=False):
            self.effect_table = table(elem_id="effect-table")

    def _build_stability(self) -> None:
        gr.Markdown("## Stability: the chosen set with other seeds", elem_classes="wb-part")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self.stability_says = facts(elem_id="stability-says")
                self.repeats = gr.Number(
                    label="Repeats (K)", precision=0, elem_id="repeats", min_width=80
                )
                self.repeat = Runner("Repeating", "Repeat", "repeat")
                self.repeated = plot(elem_id="repeated")
            with gr.Column(scale=7, min_width=340):
                self.spread = plot(elem_id="spread", min_height=130)
        with gr.Accordion("Every layer's spread as a table", open=False):
            self.stability_table = table(elem_id="stability-table")

    def _sort_parts(self) -> None:
        """What follows the bar's layer and timestep, and what only follows this tab's controls."""
        linked = [self.counts, self.scales, self.effect_table, self.spread, self.stability_table]
        buttons = [self.use, self.remove, self.clear]
        self.sets = [self.table, self.says, self.effect_says, *buttons]
        self.drawn = [self.step_table, self.scatter, self.placed, self.errors, self.repeated]
        controls = [self.samplers, self.counts_as, self.projection, self.bars, self.fill]
        numbers = [getattr(self, name) for name in NUMBERS]
        self.detail = linked
        self.rest = [*self.sets, *self.drawn, self.stability_says, *controls, *numbers]

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        page.on(self.samplers.input, _choose_samplers, [self.samplers], [])
        for name in NUMBERS:
            control, follows = getattr(self, name), [self.bars] if name != "repeats" else []
            page.on(control.input, setting(name), [control], follows)
        page.on(self.counts_as.input, setting("counts_as"), [self.counts_as], [self.counts])
        follows = [self.scatter, self.placed]
        page.on(self.projection.input, setting("projection"), [self.projection], follows)
        page.on_part(self.bars, "select", edit, [self.samplers])
        page.on(self.fill.input, fill, [self.fill], [self.bars, self.samplers, self.fill])
        page.on_part(self.table, "select", _choose_set, self.sets)
        page.on(self.use.click, _use, [], self.sets)
        everything = [*self.detail, *self.sets, *self.drawn]
        page.on(self.remove.click, _remove, [], everything)
        page.on(self.clear.click, _clear, [], [*everything, self.stability_says])
        layers = (self.scales, self.spread, self.effect_table, self.stability_table)
        for part in layers:
            page.on_part(part, "select", _choose_layer, self.detail)
        self._wire_work(page)
        self.tab.select(_samplers, None, [self.samplers], queue=False, show_progress="hidden")

    def _wire_work(self, page: Page) -> None:
        def draw(session: Session, *form: Any) -> Work:
            return draw_work(page, session, *form)

        def measure(session: Session) -> Work:
            return effect_work(page, session)

        def repeat(session: Session, repeats: Any) -> Work:
            return stability_work(page, session, repeats)

        form = [self.samplers, self.cal_size, self.cal_steps, self.cal_seed]
        self.draw.wire(page, draw, form)
        self.measure.wire(page, measure, [])
        self.repeat.wire(page, repeat, [self.repeats])

    def paint(self, session: Session) -> Updates:
        """The sets that are drawn, and what is known of them."""
        selection, lab = session.selection, session.lab
        plan, current = plots.measured(session)
        kept = lab.selected
        used = kept is not None and session.calibration is kept.drawn.calibration
        return {
            **{getattr(self, name): getattr(selection, name) for name in NUMBERS},
            self.samplers: [name for name in selection.samplers.split(".") if name],
            self.counts_as: selection.counts_as,
            self.projection: selection.projection,
            self.bars: editor(session),
            self.fill: None,
            self.counts: plots.counts(session),
            self.step_table: words.step_table(lab),
            self.table: words.set_table(session),
            self.says: words.sets_say(session),
            self.use: gr.Button("Do not use" if used else "Use for Apply", interactive=bool(kept)),
            self.remove: gr.Button(interactive=bool(kept)),
            self.clear: gr.Button(interactive=bool(kept)),
            self.placed: plots.placed_says(session),
            self.scatter: plots.scatter(session),
            self.effect_says: words.effect_says(lab, plan, current),
            self.errors: plots.errors(session),
            self.scales: plots.scales(session),
            self.effect_table: words.effect_table(lab, selection.layer) if current else None,
            self.stability_says: words.stability_says(lab),
            self.spread: plots.spread(session),
            self.repeated: plots.repeated(session),
            self.stability_table: words.stability_table(lab, selection.layer),
        }


def _choose_samplers(session: Session, names: list[str]) -> None:
    session.selection = replace(session.selection, samplers=read_samplers(".".join(names)))


def _choose_set(session: Session, key: Any, index: Any) -> None:
    if session.lab.find(str(key)) is None:
        raise NothingToDo
    session.lab.chosen = str(key)


def _use(session: Session) -> None:
    """Hand the chosen set to Apply, or take it back."""
    kept = session.lab.selected
    if kept is None:
        raise UserError(NOTHING_DRAWN)
    drawn = kept.drawn.calibration
    session.calibration = None if session.calibration is drawn else drawn


def _remove(session: Session) -> None:
    kept = session.lab.selected
    if kept is None:
        raise UserError(NOTHING_DRAWN)
    if session.calibration is kept.drawn.calibration:
        session.calibration = None
    session.lab.remove(kept.key)


def _clear(session: Session) -> None:
    session.lab.clear()
    session.calibration = None


def _choose_layer(session: Session, layer: Any, index: Any) -> None:
    """Select a layer on every tab; halves of shortcuts stand for their layer."""
    name = str(layer)
    if name.endswith(("#h", "#skip")):
        name = name.rsplit("#", 1)[0]
    if name not in session.opened.names:
        raise UserError("This layer is not part of the capture that is open.")
    session.selection = replace(session.selection, layer=name)


def _samplers() -> Any:
    """Every filed sampler: reading them loads torch, so it waits until the tab is opened."""
    load_heavy()
    return gr.CheckboxGroup(choices())
