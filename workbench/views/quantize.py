"""Quantize: choose bits and ranges, see what the capture predicts, then do it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from analysis.errors import UserError
from analysis.progress import Progress, ShouldStop
from analysis.records import Array
from workbench.components import facts, plot, table
from workbench.figures.heatmap import shortened
from workbench.figures.results import layer_sqnr
from workbench.figures.style import number
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, Updates, setting
from workbench.prediction import plan_of, predicted
from workbench.running import Runner, model_of
from workbench.selection import ESTIMATORS, PLAN_BITS, Selection
from workbench.session import Session
from workbench.views.explore import ESTIMATOR_TITLES

CONTROLS = ("weight_bits", "act_bits", "weight_estimator", "act_estimator", "edges")
MEGABYTE = 1e6


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
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=320):
                self._build_controls()
            with gr.Column(scale=7, min_width=340):
                self.says = facts(elem_id="predicted")
                self.plot = plot(elem_id="layer-sqnr", min_height=360)
        self.result = facts(elem_id="quantized")
        with gr.Accordion("Every layer as a table", open=False):
            self.table = table(elem_id="layer-table")
        self.detail = [self.says, self.plot, self.result, self.table]
        self.rest = [getattr(self, name) for name in CONTROLS]

    def _build_controls(self) -> None:
        bits = [("float" if b == 32 else str(b), b) for b in PLAN_BITS]
        titles = [(ESTIMATOR_TITLES[e], e) for e in ESTIMATORS]
        self.weight_bits = gr.Radio(
            bits, label="Weights: bits", elem_id="weight-bits", elem_classes="wb-bits"
        )
        self.act_bits = gr.Radio(
            bits, label="Activations: bits", elem_id="act-bits", elem_classes="wb-bits"
        )
        with gr.Row():
            self.weight_estimator = gr.Dropdown(titles, label="Weight ranges", min_width=130)
            self.act_estimator = gr.Dropdown(
                titles, label="Activation ranges", min_width=130, elem_id="act-estimator"
            )
        self.edges = gr.Checkbox(label="First and last layer at 8 bits")
        self.method = gr.Dropdown(
            [("Round to nearest", "rtn")], value="rtn", label="Method", elem_id="method"
        )
        self.preset = gr.Radio(
            ["instant", "fast", "paper"], value="instant", label="Preset", visible=False
        )
        self.runner = Runner("Quantizing", "Apply", "apply")

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        for name in CONTROLS:
            control = getattr(self, name)
            page.on(control.input, setting(name), [control], self.detail)
        page.on_part(self.plot.select, _choose, self.detail)
        page.on_part(self.table.select, _choose, self.detail)

        def prepare(session: Session, method: str, preset: str) -> Work:
            return quantize_work(page, session, method, preset)

        self.runner.wire(page, prepare, [self.method, self.preset])
        self.tab.select(_methods, None, [self.method], show_progress="hidden")
        self.method.input(_takes_preset, [self.method], [self.preset], show_progress="hidden")

    def paint(self, session: Session) -> Updates:
        """The prediction for the plan that is set, and the model that was made last."""
        selection, opened = session.selection, session.opened
        values = predicted(opened, plan_of(selection))
        quantized = session.quantized
        applied = {r.name: r.sqnr_db for r in quantized.layers} if quantized else None
        measured = [applied.get(n) for n in opened.names] if applied else None
        kinds = [layer.kind for layer in opened.layers]
        return {
            **{getattr(self, name): getattr(selection, name) for name in CONTROLS},
            self.says: prediction_says(opened.names, values, selection),
            self.plot: layer_sqnr(opened.names, kinds, values, measured),
            self.result: result_facts(session),
            self.table: layer_table(session, values),
        }


def quantize_work(page: Page, session: Session, method: str, preset: str) -> Work:
    """The work behind Apply, for the settings of this moment."""
    selection, capture = session.selection, session.opened.capture

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy()
        from analysis.methods import METHODS
        from analysis.methods.calibrated import SetOptions
        from analysis.quant.run import quantize

        model = model_of(session, page.models)
        # Methods that calibrate on a set draw their own: a capture holds no samples.
        draws = issubclass(METHODS.get(method).config, SetOptions)
        session.quantized = quantize(
            model,
            method=method,
            plan=selection.plan,
            calibration=None if draws else capture,
            preset=preset,
            progress=progress,
            should_stop=should_stop,
            weight_estimator=selection.weight_estimator,
            act_estimator=selection.act_estimator,
            edge_bits=8 if selection.edges else None,
        )
        session.model, session.comparison = model, None

    return work


def prediction_says(names: tuple[str, ...], values: Array, selection: Selection) -> dict[str, Any]:
    """The prediction in words: the middle and the worst layer."""
    finite = np.isfinite(values)
    if not finite.any():
        return {
            "title": f"Prediction for {selection.plan}",
            "text": "Activations stay float, so nothing is lost in them. What the weights lose is "
            "known after Apply.",
        }
    worst = int(np.argmin(np.where(finite, values, np.inf)))
    return {
        "title": f"Prediction for {selection.plan}",
        "text": "Rounding noise of the activations alone, all timesteps under one grid a layer. "
        "What the weights add is known after Apply. Click a point to select its layer.",
        "items": [
            _tile("Middle layer", f"{np.median(values[finite]):.1f}", "dB"),
            _tile("Worst layer", f"{values[worst]:.1f}", "dB", shortened(names[worst], 30)),
            _tile("Below 10 dB", f"{int((values[finite] < 10).sum())}", f"of {len(names)} layers"),
        ],
    }


def result_facts(session: Session) -> dict[str, Any]:
    """Size and quality of the model that was made last."""
    quantized = session.quantized
    if quantized is None:
        return {"title": "Quantized model", "text": "None yet: press Apply to make one."}
    size, whole = quantized.size_bytes / MEGABYTE, quantized.float_size_bytes / MEGABYTE
    known = [
        r.sqnr_db for r in quantized.layers if r.sqnr_db is not None and np.isfinite(r.sqnr_db)
    ]
    text = f"{quantized.plan}. Open Compare to see its pictures."
    if quantized.skipped:
        text += f" {len(quantized.skipped)} layers stayed (partly) float."
    return {
        "title": f"Quantized model: {quantized.method}, {quantized.plan.text}",
        "text": text,
        "items": [
            _tile("Size", f"{size:.2f}", "MB", f"float: {whole:.2f} MB"),
            _tile("Smaller by", f"{whole / size:.1f}", "times"),
            _tile("Middle layer", number(float(np.median(known))) if known else "n/a", "dB"),
            _tile("Worst layer", number(min(known)) if known else "n/a", "dB"),
        ],
    }


def _tile(name: str, value: str, unit: str, note: str = "") -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def layer_table(session: Session, values: Array) -> dict[str, Any]:
    """Every layer: its bits, what was predicted, what Apply found."""
    opened, quantized = session.opened, session.quantized
    rows = {r.name: r for r in quantized.layers} if quantized else {}
    columns = [
        ("Layer", ""),
        ("Kind", ""),
        ("Predicted, activations", "dB"),
        ("Weight bits", "applied"),
        ("Activation bits", "applied"),
        ("SQNR, both", "dB, applied"),
    ]
    return {
        "caption": f"{len(opened.names)} layers under {session.selection.plan}",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [
            [layer.name, layer.kind, _finite(value), *_applied(rows.get(layer.name))]
            for layer, value in zip(opened.layers, values, strict=True)
        ],
        "keys": list(opened.names),
        "selected": session.selection.layer,
    }


def _applied(row: Any) -> list[Any]:
    if row is None:
        return [None, None, None]
    return [row.weight_bits, row.act_bits, _finite(row.sqnr_db)]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _choose(session: Session, layer: Any, index: Any) -> None:
    if layer not in session.opened.names:
        raise UserError("This layer is not part of the capture that is open.")
    session.selection = replace(session.selection, layer=layer)


def _methods() -> Any:
    """The registered methods: reading them loads torch, so it waits until the tab is opened."""
    load_heavy()
    from analysis.methods import METHODS

    return gr.Dropdown([(METHODS.get(name).title, name) for name in METHODS])


def _takes_preset(name: str) -> Any:
    """Presets are shown for methods whose own options they set."""
    from analysis.methods import METHODS
    from analysis.methods.method import PlanOptions

    own = set(METHODS.get(name).config.__dataclass_fields__)
    return gr.Radio(visible=bool(own - set(PlanOptions.__dataclass_fields__)))
