"""Opening other material: a capture file, a kept run, another model, or a capture taken now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from analysis.errors import UserError
from analysis.progress import Progress, ShouldStop
from workbench.captures import OpenCapture, keep_file, keep_new, open_file
from workbench.components.drop import drop
from workbench.examples import EXAMPLES, example
from workbench.foretelling import capture_cost
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, Updates, check_whole, sent
from workbench.running import Runner, loaded
from workbench.selection import Selection, first_selection
from workbench.session import Session
from workbench.uploads import check_upload

OWN = "default"


class Opening:
    """The panel above the tabs."""

    def build(self, page: Page) -> None:
        """Lay out the panel, closed at first."""
        with gr.Accordion("Open another model or capture", open=False, elem_id="opening") as panel:
            self.panel = panel
            self._build_examples()
            with gr.Row(equal_height=False):
                with gr.Column(min_width=280):
                    gr.Markdown("**A capture file** (.safetensors), made here or by `analysis`.")
                    self.upload = gr.File(
                        label="Drop a capture file here",
                        file_types=[".safetensors"],
                        type="filepath",
                        height=120,
                        elem_id="upload",
                    )
                with gr.Column(min_width=280):
                    self._build_capture(page)

        drop({"upload": "upload", "panel": "opening"}, elem_id="drop")

    def _build_examples(self) -> None:
        self.examples: dict[str, Any] = {}
        with gr.Row(equal_height=False):
            for example in EXAMPLES.values():
                with gr.Column(min_width=200):
                    self.examples[example.key] = gr.Button(
                        example.title, elem_id=f"example-{example.key}", size="md"
                    )
                    gr.Markdown(example.about, elem_classes="wb-about")

    def _build_capture(self, page: Page) -> None:
        settings = page.settings
        gr.Markdown(
            "**Take a capture now:** the model samples once while every layer's input is measured."
        )
        self.model = gr.Textbox(
            settings.model,
            label="Model: bundled name, folder, or hub id owner/name",
            max_lines=1,
            interactive=not settings.demo,
            elem_id="model",
        )
        with gr.Row():
            self.steps = gr.Number(50, precision=0, label="Steps", min_width=80, elem_id="steps")
            self.samples = gr.Number(
                16, precision=0, label="Samples", min_width=80, elem_id="capture-samples"
            )
            self.seed = gr.Number(0, precision=0, label="Seed", min_width=80)
            self.scheduler = gr.Dropdown([OWN], value=OWN, label="Scheduler", min_width=140)
        self.runner = Runner("Capturing", "Capture now", "run-capture", foretells=True)

    def wire(self, page: Page) -> None:
        """Connect the controls."""

        def receive(request: gr.Request, path: str | None) -> Updates:
            session = page.store.get(str(request.session_hash))
            return received(page, session, path)

        self.upload.upload(
            receive, [self.upload], page.outputs, queue=False, show_progress="hidden"
        )
        for key, button in self.examples.items():
            button.click(_opens(page, key), None, page.outputs, queue=False, show_progress="hidden")

        def prepare(session: Session, *values: Any) -> Work:
            return capture_work(page, session, *values)

        inputs = [self.model, self.steps, self.samples, self.seed, self.scheduler]
        self.runner.wire(
            page,
            prepare,
            inputs,
            foretell=partial(capture_cost, page),
            stale=[control.input for control in inputs],
        )
        self.panel.expand(_schedulers, None, [self.scheduler], queue=False, show_progress="hidden")


def received(page: Page, session: Session, path: str | None) -> Updates:
    """Show an uploaded capture, or say in one sentence why that is not possible."""
    try:
        if path is None:
            raise UserError("No file has arrived; drop a capture file again.")
        check_upload(Path(path))
        opened = open_file(path, "upload")
        if not page.settings.demo:
            opened.key = keep_file(Path(path), page.settings.runs)
    except UserError as error:
        text = str(error).replace(str(path), Path(path or "").name)
        return sent({page.notice: {"kind": "error", "text": text}})
    with session.lock:
        show(session, opened)
        return sent({page.notice: None, **page.paint(session, whole=True)})


def _opens(page: Page, key: str) -> Callable[[gr.Request], Updates]:
    def opens(request: gr.Request) -> Updates:
        opened = example(key)
        with page.session_of(request) as session:
            show(session, opened)
            return sent({page.notice: None, **page.paint(session, whole=True)})

    return opens


def show(session: Session, opened: OpenCapture) -> None:
    """Make a capture the one that the visitor looks at; the settings stay."""
    start = first_selection(opened)
    session.selection = replace(
        session.selection,
        layer=start.layer,
        step=start.step,
        shortcut=start.shortcut,
        find="",
        own=(),
    )
    session.selection = _visible(session.selection, opened)
    session.opened = opened
    session.shown.clear()


def _visible(selection: Selection, opened: OpenCapture) -> Selection:
    kinds = {layer.kind for layer in opened.layers}
    return selection if selection.kind in kinds else replace(selection, kind="all")


def capture_work(
    page: Page, session: Session, model: str, steps: Any, samples: Any, seed: Any, scheduler: str
) -> Work:
    """The work behind "Capture now"; `UserError` for what cannot be run."""
    settings = page.settings
    wanted = settings.model if settings.demo else (model or "").strip()
    if not wanted:
        raise UserError("Name a model: a bundled name such as fashion, a folder, or a hub id.")
    check_whole("steps", steps, 1, settings.most_steps)
    check_whole("samples", samples, 1, settings.most_samples)
    check_whole("seed", seed, 0, 2**32)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.capture.run import capture

        handle = loaded(wanted, page.models)
        taken = capture(
            handle,
            steps=int(steps),
            samples=int(samples),
            seed=int(seed),
            scheduler=None if scheduler == OWN else scheduler,
            progress=progress,
            should_stop=should_stop,
        )
        key = keep_new(taken, settings.runs)
        session.model_name = wanted
        session.model, session.quantized, session.comparison = handle, None, None
        show(session, OpenCapture(key, taken))

    return work


def _schedulers() -> Any:
    """All schedulers by short name: reading them loads torch, so it waits for the panel."""
    load_heavy()
    from analysis.models.schedulers import SHORT_NAMES

    return gr.Dropdown([OWN, *SHORT_NAMES], allow_custom_value=True)
