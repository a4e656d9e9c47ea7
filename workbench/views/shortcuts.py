"""Shortcuts: concat(h, skip), its two halves, and what one scale for both costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from analysis.records import ActivationStats
from workbench.captures import OpenCapture
from workbench.components import facts, plot, table
from workbench.figures.shortcuts import gains, halves, reaches, scales
from workbench.figures.style import UNITS, number
from workbench.page import Page, Updates, setting
from workbench.selection import Selection
from workbench.session import Session
from workbench.statistics import quantiles
from workbench.views.cell import SHARES
from workbench.views.late import Late

TABLE_BITS = 4  # of the numbers that stand for a shortcut in words and in the table
PARTS = (0, 50, 100)  # percent of the channels
NONE = {
    "title": "No shortcuts here",
    "text": "This capture holds no layer that is fed by a concatenation. Open another capture, or "
    "take one of a UNet with all its layers.",
}


class Shortcuts:
    """All concatenated inputs, and one of them in detail."""

    name, title = "shortcuts", "Shortcuts"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        gr.Markdown(
            "**A UNet's shortcut glues two tensors together:** h comes from the layer below, skip "
            "from the way down. If one half is much wider, a grid that fits both leaves only a "
            "few levels for the narrow one. Pick a shortcut in the table."
        )
        self.table = table(elem_id="shortcut-table")
        self.facts = facts(elem_id="shortcut-facts")
        with gr.Row(equal_height=False):
            with gr.Column(scale=6, min_width=340):
                self.halves = plot(elem_id="halves", min_height=340)
                self.log = gr.Checkbox(label="Logarithmic share")
                self.reaches = plot(elem_id="reaches", min_height=190)
                gr.Markdown("### The whole input", elem_classes="wb-small")
                self.whole = plot(elem_id="whole-input", min_height=300)
            with gr.Column(scale=5, min_width=340):
                gr.Markdown("### The halves of the input", elem_classes="wb-small")
                self.inputs = plot(elem_id="small-half", min_height=300)
                gr.Markdown("### The weight slices that meet them", elem_classes="wb-small")
                self.weights = plot(elem_id="weight-halves", min_height=300)
                self.slices = facts(elem_id="weights-say")
        with gr.Accordion("The same numbers as tables", open=False) as self.tables:
            self.values = table(elem_id="half-numbers")
            self.numbers = table(elem_id="shortcut-numbers")
        self.plots = [self.halves, self.reaches, self.inputs, self.weights, self.whole]
        self.detail = [self.table, self.facts, *self.plots, self.slices]
        self.late = Late(self.name, [self.values, self.numbers], [])
        self.rest = [self.log, *self.late.tables]

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        page.on(self.log.input, setting("log"), [self.log], self.detail)
        page.on_part(self.table, "select", _choose, self.detail)
        self.late.wire(page, self.tables, self.facts)

    def paint(self, session: Session) -> Updates:
        """The table of all shortcuts, and the chosen one."""
        selection, opened = session.selection, session.opened
        reports = reports_at(opened, selection.step)
        report = report_of(opened, selection)
        if report is None:
            empty = dict.fromkeys([*self.detail, *self.late.tables])
            return {**empty, self.facts: NONE, self.log: selection.log}
        h, skip = (
            opened.capture[f"{report.layer}#{tap}"].at(selection.step) for tap in ("h", "skip")
        )
        narrow = "skip" if report.range_skip <= report.range_h else "h"
        inputs = input_gain(opened, report.layer, selection.step)
        weights = slices_of(session, report)
        return {
            self.log: selection.log,
            self.table: report_table(reports, report.layer),
            self.facts: {**verdict(report, narrow), "late": self.late.wanted(session)},
            self.halves: halves(h, skip, selection.log),
            self.reaches: reaches(h, skip),
            self.inputs: gains(inputs, "halves of the input"),
            self.weights: None if weights is None else gains(weights, "slices of the weight"),
            self.slices: slices_say(session.opened, weights),
            self.whole: scales(report.sqnr_db_joint, report.sqnr_db_split, "whole input"),
            self.values: value_table(report, h, skip),
            self.numbers: gain_table(report.layer, inputs, weights),
        }


def reports_at(opened: OpenCapture, step: int) -> list[Any]:
    """Every shortcut's report at one step, at the table's bits; empty where there is none."""
    if not opened.capture.shortcuts:
        return []
    from analysis.shortcuts import shortcut_report

    t = float(opened.capture.timesteps[step])
    return opened.remembered(
        ("shortcuts", step), lambda: shortcut_report(opened.capture, t, (TABLE_BITS,))
    )


def report_of(opened: OpenCapture, selection: Selection) -> Any:
    """The chosen shortcut's report at the selected step, at all bits; `None` without one."""
    from analysis.shortcuts import report_shortcut

    step, one = selection.step, chosen(reports_at(opened, selection.step), selection)
    if one is None:
        return None
    shortcut = next(s for s in opened.capture.shortcuts if s.layer == one.layer)
    key = ("shortcut", one.layer, step)
    return opened.remembered(key, lambda: report_shortcut(opened.capture, shortcut, step))


def chosen(reports: list[Any], selection: Selection) -> Any:
    """The report of the selected layer if it is a shortcut, else of the shortcut chosen last."""
    by_layer = {report.layer: report for report in reports}
    fallback = reports[0] if reports else None
    return by_layer.get(selection.layer, by_layer.get(selection.shortcut, fallback))


def verdict(report: Any, narrow: str) -> dict[str, Any]:
    """The chosen shortcut in words and numbers."""
    joint, split = (
        way[TABLE_BITS]
        for way in (report.sqnr_db_small_half_joint, report.sqnr_db_small_half_split)
    )
    if report.bimodal:
        text = (
            f"Bimodal at t = {report.timestep:g}: the halves form two humps. With one 4-bit scale "
            f"the narrow half ({narrow}) has {joint:.1f} dB, with its own {split:.1f} dB."
        )
    else:
        text = (
            f"Not bimodal at t = {report.timestep:g}: {_doubts(report)}. A second scale changes "
            f"the narrow half ({narrow}) from {joint:.1f} to {split:.1f} dB at 4 bits all the "
            "same."
        )
    return {
        "title": report.layer,
        "text": text,
        "items": [
            _tile("Range of h", number(report.range_h), "units", f"{report.channels_h} channels"),
            _tile(
                "Range of skip",
                number(report.range_skip),
                "units",
                f"{report.channels_skip} channels",
            ),
            _tile("Wide by narrow", number(report.range_ratio), "times", "1 would be equal"),
            _tile("Dip test", number(report.dip_p), "p-value", "below 0.05: more than one hump"),
            _tile("Ashman's D", number(report.ashman_d), "(no unit)", "above 2: clearly apart"),
            _tile("Gain of a second scale", number(split - joint), "dB", "narrow half, 4 bits"),
        ],
    }


def _doubts(report: Any) -> str:
    """Which of the two tests sees one hump, in words."""
    from analysis.shortcuts import SEPARATED, SIGNIFICANT

    doubts = []
    if not report.dip_p < SIGNIFICANT:
        doubts.append(f"the dip test finds one hump likely enough (p = {number(report.dip_p)})")
    if not report.ashman_d > SEPARATED:
        doubts.append(f"the halves' channels overlap (Ashman's D = {number(report.ashman_d)})")
    return " and ".join(doubts)


def input_gain(opened: OpenCapture, layer: str, step: int) -> Any:
    """What two scales gain for each half of a concatenated input."""
    from analysis.shortcut_split import activation_gain

    shortcut = next(s for s in opened.capture.shortcuts if s.layer == layer)
    return opened.remembered(
        ("input gain", layer, step), lambda: activation_gain(opened.capture, shortcut, step)
    )


def slices_of(session: Session, report: Any) -> Any:
    """What two scales gain for the weight slices; `None` if the weight is not at hand.

    A capture says itself which model it is of. Only models that this page opened are looked
    into: a stranger's capture must not choose what is read from this machine.
    """
    from analysis.models.weight_file import is_bundled

    opened = session.opened
    model, layer = opened.capture.model, report.layer
    if model != session.model_name and not is_bundled(model):
        return None
    wanted = opened.capture.layers[opened.capture.index[layer]].shape
    return opened.remembered(
        ("weight gain", layer), lambda: _weight_gain(model, layer, report.channels_h, wanted)
    )


def _weight_gain(model: str, layer: str, seam: int, shape: tuple[int, ...]) -> Any:
    from analysis.models.weight_file import read_weight
    from analysis.shortcut_split import weight_gain

    weight = read_weight(model, layer)
    return None if weight is None or weight.shape != shape else weight_gain(weight, seam)


def slices_say(opened: OpenCapture, gain: Any) -> dict[str, str]:
    """What the weights gain, or why that is not known."""
    if gain is None:
        return {
            "text": f"The weights of {opened.capture.model} are not at hand: open the model beside "
            "its capture to see what two scales do to the slices that meet h and skip."
        }
    by = {name: half.two[4] - half.one[4] for name, half in (("h", gain.h), ("skip", gain.skip))}
    return {
        "text": "The weight slices that meet h and skip, a grid for each output channel. At 4 bits "
        f"two scales change the slice of h by {by['h']:+.1f} dB and that of skip by "
        f"{by['skip']:+.1f} dB."
    }


def value_table(report: Any, h: ActivationStats, skip: ActivationStats) -> dict[str, Any]:
    """What the two histograms and the channels' reaches show, half by half."""
    rows = []
    for name, half in (("h", h), ("skip", skip)):
        q = quantiles(half, SHARES)
        reach = np.maximum(np.abs(half.channel_min), np.abs(half.channel_max))
        rows.append([name, half.min, *q.tolist(), half.max, *np.percentile(reach, PARTS).tolist()])
    titles = ["Half", "Least", *(f"{100 * share:g} %" for share in SHARES), "Greatest"]
    titles += [f"Largest |x| of a channel, {part} %" for part in PARTS]
    return {
        "caption": f"Both halves of {report.layer} at t = {report.timestep:g}, in {UNITS}",
        "columns": [{"title": title} for title in titles],
        "rows": rows,
    }


def gain_table(layer: str, inputs: Any, weights: Any) -> dict[str, Any]:
    """All curves, number by number."""
    curves: dict[str, dict[int, float]] = {}
    for of, gain in (("input", inputs), ("weight", weights)):
        for name in ("h", "skip", "whole") if gain is not None else ():
            for how in ("one", "two"):
                title = f"{of}: {name}, {how} scale{'s' if how == 'two' else ''}"
                curves[title] = getattr(getattr(gain, name), how)
    return {
        "caption": f"SQNR of {layer} under one scale and under two",
        "columns": [{"title": "Bits"}, *({"title": title, "unit": "dB"} for title in curves)],
        "rows": [
            [bits, *(_finite(curve[bits]) for curve in curves.values())]
            for bits in next(iter(curves.values()))
        ],
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _tile(name: str, value: str, unit: str, note: str) -> dict[str, str]:
    return {"name": name, "value": value, "unit": unit, "note": note}


def report_table(reports: list[Any], selected: str) -> dict[str, Any]:
    """All shortcuts, one a row."""
    columns = [
        ("Shortcut", ""),
        ("Wide by narrow", "times"),
        ("Dip test", "p"),
        ("Ashman's D", "no unit"),
        ("Bimodal", ""),
        ("Narrow half, one scale", "dB, 4 bits"),
        ("its own scale", "dB, 4 bits"),
    ]
    return {
        "caption": f"{len(reports)} shortcuts at t = {reports[0].timestep:g}",
        "columns": [{"title": title, "unit": unit} for title, unit in columns],
        "rows": [_row(report) for report in reports],
        "keys": [report.layer for report in reports],
        "selected": selected,
    }


def _row(report: Any) -> list[Any]:
    numbers = (
        report.range_ratio,
        report.dip_p,
        report.ashman_d,
        report.sqnr_db_small_half_joint[TABLE_BITS],
        report.sqnr_db_small_half_split[TABLE_BITS],
    )
    ratio, dip, d, joint, split = map(_finite, numbers)
    return [report.layer, ratio, dip, d, "yes" if report.bimodal else "no", joint, split]


def _choose(session: Session, layer: Any, index: Any) -> None:
    if layer in [s.layer for s in session.opened.capture.shortcuts]:
        known = layer if layer in session.opened.names else session.selection.layer
        session.selection = replace(session.selection, layer=known, shortcut=layer)
