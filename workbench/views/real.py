"""Real int8: the model that is looked at, run in integers, with a badge on every layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from workbench.components import facts, table
from workbench.jobs import Work
from workbench.page import Page, Updates, setting
from workbench.real import RUNTIMES, real_work
from workbench.running import Runner
from workbench.selection import RESTS
from workbench.session import Session
from workbench.views import real_says as say

REST_TITLES = {"fastest": "The faster of both", "float32": "float32", "bfloat16": "bfloat16"}


class Real:
    """The part of Compare that runs integers."""

    def build(self) -> None:
        """Lay it out."""
        gr.Markdown(
            "All pictures above are **simulated**: float arithmetic on rounded numbers, no faster "
            "than float. Here the model is exported to ONNX with its own integers and **really** "
            "run in them."
        )
        with gr.Row(elem_classes="wb-run"):
            self.backend = gr.Radio(
                [(title, name) for name, (title, _) in RUNTIMES.items()],
                value="openvino",
                label="Runtime",
                elem_id="backend",
                min_width=260,
            )
            self.rest = gr.Radio(
                [(REST_TITLES[name], name) for name in RESTS],
                value="fastest",
                label="Precision of what is no integer",
                elem_id="rest",
                min_width=300,
            )
        self.runner = Runner("Running in integers", "Run in integers", "run-real")
        self.says = facts(elem_id="real")
        self.runs = table(elem_id="real-runs")
        self.shares = facts(elem_id="real-shares")
        self.layers = table(elem_id="real-layers")
        self.detail = [self.says, self.runs, self.shares, self.layers]
        self.rest_of_it = [self.backend, self.rest]

    def wire(self, page: Page, asked: Sequence[Any]) -> None:
        """Connect the controls; `asked` are the boxes for samples, steps and seed."""
        page.on(self.backend.input, setting("backend"), [self.backend], self.detail)
        page.on(self.rest.input, setting("rest"), [self.rest], [])

        def prepare(session: Session, samples: int, steps: int, seed: float) -> Work:
            return real_work(page, session, samples, steps, seed)

        self.runner.wire(page, prepare, asked)

    def paint(self, session: Session) -> Updates:
        """What was measured of the model that is looked at, or what its grids allow."""
        return {
            self.backend: session.selection.backend,
            self.rest: session.selection.rest,
            self.says: say.head(session),
            self.runs: say.runs(session),
            self.shares: say.shares(session),
            self.layers: say.layers(session),
        }
