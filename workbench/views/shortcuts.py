"""Shortcuts: concat(h, skip), its two halves, and what one scale for both costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np

from workbench.captures import OpenCapture
from workbench.components import facts, plot, table
from workbench.figures.shortcuts import halves, reaches, scales
from workbench.figures.style import number
from workbench.page import Page, Updates, setting
from workbench.selection import Selection
from workbench.session import Session

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
            with gr.Column(scale=5, min_width=340):
                self.small = plot(elem_id="small-half", min_height=300)
                self.whole = plot(elem_id="whole-input", min_height=300)
        self.detail = [
            self.table,
            self.facts,
            self.halves,
            self.reaches,
            self.small,
            self.whole,
        ]
        self.rest = [self.log]

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        page.on(self.log.input, setting("log"), [self.log], self.detail)
        page.on_part(self.table.select, _choose, self.detail)

    def paint(self, session: Session) -> Updates:
        """The table of all shortcuts, and the chosen one."""
        selection, opened = session.selection, session.opened
        reports = reports_at(opened, selection.step)
        report = chosen(reports, selection)
        if report is None:
            empty = [self.table, self.halves, self.reaches, self.small, self.whole]
            return {**dict.fromkeys(empty), self.facts: NONE, self.log: selection.log}
        h, skip = (
            opened.capture[f"{report.layer}#{tap}"].at(selection.step) for tap in ("h", "skip")
        )
        narrow = "skip" if report.range_skip <= report.range_h else "h"
        return {
            self.log: selection.log,
            self.table: report_table(reports, report.layer),
            self.facts: verdict(report, narrow),
            self.halves: halves(h, skip, selection.log),
            self.reaches: reaches(h, skip),
            self.small: scales(
                report.sqnr_db_small_half_joint,
                report.sqnr_db_small_half_split,
                f"narrow half ({narrow})",
            ),
            self.whole: scales(report.sqnr_db_joint, report.sqnr_db_split, "whole input"),
        }


def reports_at(opened: OpenCapture, step: int) -> list[Any]:
    """Every shortcut's report at one step; empty where there is no shortcut."""
    if not opened.capture.shortcuts:
        return []
    from analysis.shortcuts import shortcut_report

    t = float(opened.capture.timesteps[step])
    return opened.remembered(("shortcuts", step), lambda: shortcut_report(opened.capture, t))


def chosen(reports: list[Any], selection: Selection) -> Any:
    """The report of the selected layer if it is a shortcut, else of the shortcut chosen last."""
    by_layer = {report.layer: report for report in reports}
    fallback = reports[0] if reports else None
    return by_layer.get(selection.layer, by_layer.get(selection.shortcut, fallback))


def verdict(report: Any, narrow: str) -> dict[str, Any]:
    """The chosen shortcut in words and numbers."""
    joint, split = report.sqnr_db_small_half_joint[4], report.sqnr_db_small_half_split[4]
    if report.bimodal:
        text = (
            f"Bimodal at t = {report.timestep:g}: the halves form two humps. With one 4-bit scale "
            f"the narrow half ({narrow}) has {joint:.1f} dB, with its own {split:.1f} dB."
        )
    else:
        text = (
            f"Not bimodal at t = {report.timestep:g}: the tests do not find two separate humps. "
            f"A second scale still changes the narrow half ({narrow}) from {joint:.1f} to "
            f"{split:.1f} dB at 4 bits."
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
        report.sqnr_db_small_half_joint[4],
        report.sqnr_db_small_half_split[4],
    )
    ratio, dip, d, joint, split = (float(v) if np.isfinite(v) else None for v in numbers)
    return [report.layer, ratio, dip, d, "yes" if report.bimodal else "no", joint, split]


def _choose(session: Session, layer: Any, index: Any) -> None:
    if layer in [s.layer for s in session.opened.capture.shortcuts]:
        known = layer if layer in session.opened.names else session.selection.layer
        session.selection = replace(session.selection, layer=known, shortcut=layer)
