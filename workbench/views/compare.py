"""Compare: float beside quantized, from the same noise."""

from __future__ import annotations

from typing import Any

import gradio as gr

from analysis.errors import UserError
from analysis.progress import Progress, ShouldStop
from workbench.components import facts, pictures, plot, table
from workbench.figures.results import divergence
from workbench.figures.style import number
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, Updates, check_whole
from workbench.pictures import data_address, difference, grid
from workbench.running import Runner, model_of
from workbench.session import Session

NOTHING = {
    "title": "Nothing to compare yet",
    "text": "First open Quantize, choose bits and press Apply; then come back and press Compare.",
}
READY = {
    "title": "Ready",
    "text": "Press Compare: both models start from the same noise, so every difference between the "
    "pictures is the quantization's.",
}
MODES = [("Side by side", "side"), ("Swipe", "swipe"), ("Difference", "difference")]
GAINS = [1, 2, 4, 8, 16]


class Compare:
    """Sampling both models and looking at what came out."""

    name, title = "compare", "Compare"
    tab: Any

    def build(self, page: Page) -> None:
        """Lay out the tab."""
        self.says = facts(elem_id="comparison")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=300):
                sizes = [n for n in (16, 64, 256) if n <= page.settings.most_samples]
                self.samples = gr.Radio(sizes, value=16, label="Pictures (N)", elem_id="samples")
                self.steps = gr.Number(
                    50, precision=0, label="Sampling steps", elem_id="compare-steps"
                )
                self.seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="seed")
                self.runner = Runner("Comparing", "Compare", "run-compare")
            with gr.Column(scale=7, min_width=340):
                with gr.Row():
                    self.mode = gr.Radio(MODES, value="side", label="Show", elem_id="mode")
                    self.gain = gr.Radio(GAINS, value=4, label="Amplify difference (times)")
                self.pictures = pictures(elem_id="pictures")
        self.divergence = plot(elem_id="divergence")
        with gr.Accordion("The same numbers as a table", open=False):
            self.table = table(elem_id="divergence-table")
        self.detail = [self.says, self.pictures, self.divergence, self.table]
        self.rest = []

    def wire(self, page: Page) -> None:
        """Connect the controls."""
        for control in (self.mode, self.gain):
            page.on(control.input, _look, [self.mode, self.gain], self.detail)

        def prepare(session: Session, samples: int, steps: int, seed: float) -> Work:
            return compare_work(page, session, samples, steps, seed)

        self.runner.wire(page, prepare, [self.samples, self.steps, self.seed])

    def paint(self, session: Session) -> Updates:
        """The comparison made last, or what to do first."""
        comparison = session.comparison
        if comparison is None:
            first = NOTHING if session.quantized is None else READY
            empty = dict.fromkeys([self.pictures, self.divergence, self.table])
            return {**empty, self.says: first}
        return {
            self.says: comparison_facts(session),
            self.pictures: shown(session),
            self.divergence: divergence(comparison.values["divergence"]),
            self.table: divergence_table(comparison),
        }


def compare_work(page: Page, session: Session, samples: Any, steps: Any, seed: Any) -> Work:
    """The work behind Compare; `UserError` for what cannot be run."""
    quantized, settings = session.quantized, page.settings
    if quantized is None:
        raise UserError("There is no quantized model yet: open Quantize and press Apply first.")
    for name, value, least, most in (
        ("steps", steps, 1, settings.most_steps),
        ("samples", samples, 1, settings.most_samples),
        ("seed", seed, 0, 2**32),
    ):
        check_whole(name, value, least, most)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy()
        from analysis.comparison import compare

        model = session.model or model_of(session, page.models)
        session.comparison = compare(
            model,
            quantized,
            samples=int(samples),
            steps=int(steps),
            seed=int(seed),
            progress=progress,
            should_stop=should_stop,
        )

    return work


def comparison_facts(session: Session) -> dict[str, Any]:
    """The numbers, each with its unit and with N where it depends on it."""
    v = session.comparison.values
    n = v["samples"]
    items = [
        _tile("PSNR", v["psnr_db"], "dB", "higher is closer to float"),
        _tile("SSIM", v["ssim"], "of 1", "1 is identical"),
        _tile("SQNR", v["sqnr_db"], "dB", "of the final samples"),
        _tile("Fréchet, float", v["frechet_float"], f"N = {n}", "distance to the data, no unit"),
        _tile("Fréchet, quantized", v["frechet_quantized"], f"N = {n}", "compare at equal N only"),
        _tile("Time, float", v["seconds_float"], "s", f"{n} pictures"),
        _tile("Time, quantized", v["seconds_quantized"], "s", "simulated integers: not faster"),
    ]
    text = (
        f"{session.quantized.plan.text}, {v['steps']} steps, N = {n} pictures from the same noise. "
        "A Fréchet distance of so few pictures mostly shows their number: read its difference, "
        "not its size, and take a larger N to be sure."
    )
    return {"title": "Float against quantized", "text": text, "items": items}


def _tile(name: str, value: float | None, unit: str, note: str) -> dict[str, str]:
    shown_value = "n/a" if value is None else number(value)
    return {"name": name, "value": shown_value, "unit": unit, "note": note}


def shown(session: Session) -> dict[str, Any]:
    """The pictures in the mode that is chosen."""
    comparison, mode = session.comparison, session.drawn.get("mode", "side")
    gain = float(session.drawn.get("gain", 4))
    reference, candidate = comparison.reference, comparison.candidate
    plan = session.quantized.plan.text
    changed = difference(reference, candidate, gain) if mode == "difference" else None
    return {
        "mode": mode,
        "float": data_address(grid(reference)),
        "quantized": data_address(grid(candidate)),
        "difference": data_address(changed) if changed is not None else None,
        "captions": {
            "float": "Float",
            "quantized": f"Quantized, {plan}",
            "difference": f"Quantized minus float, {gain:g} times: orange brighter, blue darker",
            "swipe": f"Left of the line float, right of it {plan}; arrow keys move it",
        },
    }


def divergence_table(comparison: Any) -> dict[str, Any]:
    """The divergence, number by number."""
    rows = [[i + 1, 100 * v] for i, v in enumerate(comparison.values["divergence"])]
    return {
        "caption": "Distance between the float and the quantized run after every step",
        "columns": [{"title": "Step"}, {"title": "|x_q - x| / |x|", "unit": "%"}],
        "rows": rows,
    }


def _look(session: Session, mode: str, gain: float) -> None:
    session.drawn |= {"mode": mode, "gain": gain}
