"""The knobs of a quantization grid, and what they would do to every layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from workbench.captures import OpenCapture
from workbench.components import facts
from workbench.figures.style import UNITS, number
from workbench.grids import BITS, ESTIMATORS, LEAST_KEPT, setting
from workbench.page import NothingToDo, Page, Updates
from workbench.page import setting as plain_setting
from workbench.selection import Selection
from workbench.session import Session
from workbench.views.late import Late
from workbench.whatif import Grid, range_of

ESTIMATOR_TITLES = {
    "minmax": "Min-max",
    "percentile": "Percentile 99.99",
    "lp": "Least Lp error",
    "mse": "Least squared error",
    "l1": "Least absolute error",
}
GRANULARITY_TITLES = {
    "per_tensor": "tensor",
    "per_half": "half of a shortcut",
    "per_channel": "channel (estimate)",
}
GRID = ("bits", "estimator", "granularity", "keep", "symmetric")
TOO_NOISY = 10.0  # dB


class GridControls:
    """Bits, estimator, granularity, share of the range, symmetry; for all layers or for one."""

    def __init__(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=340):
                self.says = facts(elem_id="what-if")
                choices = [("all layers", "all"), ("this layer only", "layer")]
                self.applies = gr.Radio(choices, label="A change reaches", elem_id="applies")
                self.reset = gr.Button("Same grid for all again", elem_id="reset", size="sm")
            with gr.Column(scale=6, min_width=340):
                self._build_knobs()

    def _build_knobs(self) -> None:
        self.bits = gr.Radio(list(BITS), label="Bits", elem_classes="wb-bits", elem_id="bits")
        with gr.Row(elem_classes="wb-tight"):
            titles = [(ESTIMATOR_TITLES[e], e) for e in ESTIMATORS]
            self.estimator = gr.Dropdown(
                titles, label="Clip limits from", elem_id="estimator", min_width=140
            )
            grains = [(title, name) for name, title in GRANULARITY_TITLES.items()]
            self.granularity = gr.Dropdown(
                grains, label="A grid for each", elem_id="granularity", min_width=140
            )
        self.keep = gr.Slider(
            LEAST_KEPT, 100, step=1, label="Part of that range that is kept (%)", elem_id="keep"
        )
        self.symmetric = gr.Checkbox(label="Symmetric around 0", elem_id="symmetric")

    @property
    def knobs(self) -> list[Any]:
        """What shows the selected layer's grid."""
        return [*(getattr(self, name) for name in GRID), self.applies]

    def wire(self, page: Page, late: Late, overview: list[Any]) -> None:
        """Connect the knobs; `overview` is repainted."""
        for name in GRID:
            control = getattr(self, name)
            page.on(control.input, late.turned(setting(name)), [control], overview)
        applies = late.turned(plain_setting("applies"))
        page.on(self.applies.input, applies, [self.applies], [self.says, *self.knobs])
        page.on(self.reset.click, late.turned(_reset), [], overview)

    def paint(self, opened: OpenCapture, selection: Selection) -> Updates:
        """The grid of the selected layer, and what all grids together come to."""
        return {
            **{getattr(self, name): getattr(selection.grid, name) for name in GRID},
            self.applies: selection.applies,
            self.says: says(opened, selection),
        }


def says(opened: OpenCapture, selection: Selection) -> dict[str, Any]:
    """All layers under their grids, beside plain min-max at the same bits."""
    values = opened.table("sqnr", selection.base, selection.own)
    plain = opened.table("sqnr", Grid(selection.bits))
    at_step = np.where(np.isfinite(values), values, np.inf)[:, selection.step]
    worst = int(at_step.argmin())
    finite, before = values[np.isfinite(values)], plain[np.isfinite(plain)]
    if not finite.size:
        return {"title": "Predicted for all layers", "text": "Nothing is lost anywhere."}
    t = opened.capture.timesteps[selection.step]
    return {
        "title": "Predicted for all layers",
        "text": _which(selection),
        "items": [
            _tile(
                "Middle cell",
                f"{np.median(finite):.1f}",
                "dB",
                f"plain min-max: {np.median(before):.1f} dB",
            ),
            _tile(
                f"Worst at t = {t:g}",
                number(float(at_step[worst])),
                "dB",
                opened.names[worst],
            ),
            _tile(
                f"Cells below {TOO_NOISY:g} dB",
                f"{100 * np.mean(finite < TOO_NOISY):.0f}",
                "%",
                f"plain min-max: {100 * np.mean(before < TOO_NOISY):.0f} %",
            ),
        ],
    }


def _which(selection: Selection) -> str:
    own, grid = len(selection.own), selection.grid
    parts = ["Read off the histograms; no model is run."]
    if selection.stat != "sqnr":
        parts.append("Let the colour show predicted SQNR to see every cell.")
    if grid.clip is not None:
        low, high = (number(end) for end in grid.clip)
        parts.append(f"This layer's range was drawn by hand: {low} to {high}.")
    if own:
        parts.append(f"{own} {'layers have grids' if own > 1 else 'layer has a grid'} of its own.")
    if grid.granularity == "per_channel":
        parts.append(
            "A grid a channel is an estimate from the channels' extremes: min-max, whatever the "
            "limits above say."
        )
    return " ".join(parts).replace("grids of its own", "grids of their own")


def _tile(name: str, value: str, unit: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def own_table(opened: OpenCapture, selection: Selection) -> dict[str, Any] | None:
    """The layers whose grid differs from that of all; `None` where there is none."""
    if not selection.own:
        return None
    columns = [
        ("Layer", ""),
        ("Bits", ""),
        ("Limits from", ""),
        ("A grid for each", ""),
        ("Least", UNITS),
        ("Greatest", UNITS),
        ("Predicted SQNR, middle timestep", "dB"),
    ]
    values = opened.table("sqnr", selection.base, selection.own)
    return {
        "caption": "Layers with a grid of their own; choose one to select it",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [
            _own_row(opened, name, grid, float(np.median(values[opened.names.index(name)])))
            for name, grid in selection.own
        ],
        "keys": [name for name, _ in selection.own],
        "selected": selection.layer,
    }


def _own_row(opened: OpenCapture, name: str, grid: Grid, ratio: float) -> list[Any]:
    low, high = range_of(opened.capture[name].total, grid)
    origin = "drawn by hand" if grid.clip else ESTIMATOR_TITLES[grid.estimator]
    shown = ratio if np.isfinite(ratio) else None
    return [name, grid.bits, origin, GRANULARITY_TITLES[grid.granularity], low, high, shown]


def _reset(session: Session) -> None:
    if not session.selection.own:
        raise NothingToDo
    session.selection = replace(session.selection, own=())
