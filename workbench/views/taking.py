"""Taking a result along: the report, and the recipe with its weights."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr

from analysis.errors import UserError
from analysis.progress import Progress, ShouldStop
from workbench.heavy import load_heavy
from workbench.jobs import Work
from workbench.page import Page, Updates
from workbench.running import Runner, model_of
from workbench.session import Session

SAMPLES, STEPS = 16, 50  # of a report that has no comparison to show yet
FOLDER = "files to take along"  # in what the session has drawn: it goes with the session


class Taking:
    """The panel below the tabs."""

    def build(self, page: Page) -> None:
        """Lay out the panel, closed at first."""
        with gr.Accordion("Take it with you: report and recipe", open=False, elem_id="taking"):
            gr.Markdown(
                "**The report** is one web page with pictures, plots, tables and settings that "
                "opens anywhere, without a network. **The recipe** holds the bits, the scales and "
                "the packed weights of the model made last; `python -m analysis compare "
                "--quantized FOLDER` runs it. Without a comparison the report samples first."
            )
            with gr.Row(equal_height=False):
                with gr.Column(min_width=280):
                    self.runner = Runner(
                        "Writing the report", "Make report and recipe", "run-report"
                    )
                with gr.Column(min_width=280):
                    self.files = gr.File(
                        label="Download",
                        file_count="multiple",
                        interactive=False,
                        visible=False,
                        elem_id="files",
                    )

    def wire(self, page: Page) -> None:
        """Connect the button."""

        def prepare(session: Session) -> Work:
            return report_work(page, session)

        def painted(session: Session) -> Updates:
            paths = files_of(session)
            return {self.files: gr.File(value=paths or None, visible=bool(paths))}

        self.runner.wire(page, prepare, [], [self.files], painted)


def files_of(session: Session) -> list[str]:
    """What the visitor has made last, the report first."""
    folder = session.drawn.get(FOLDER)
    paths = [] if folder is None else [str(path) for path in Path(folder.name).iterdir()]
    return sorted(paths, key=lambda path: not path.endswith(".html"))


def report_work(page: Page, session: Session) -> Work:
    """The work behind the button; `UserError` where there is no model."""
    quantized, comparison = session.quantized, session.comparison
    if quantized is None:
        raise UserError("There is nothing to take along yet: open Quantize and press Apply first.")
    samples = min(SAMPLES, page.settings.most_samples)
    steps = min(STEPS, page.settings.most_steps)

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        load_heavy(progress, should_stop)
        from analysis.comparison import compare
        from analysis.report import build_report

        shown = comparison or compare(
            session.model or model_of(session, page.models),
            quantized,
            samples,
            steps,
            progress=progress,
            should_stop=should_stop,
        )
        folder = TemporaryDirectory(prefix="workbench-")
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", quantized.name)[-80:].strip("-")
        report = Path(folder.name) / f"report-{name}.html"
        report.write_text(build_report(quantized, shown), encoding="utf-8")
        pack(quantized, Path(folder.name) / f"recipe-{name}.zip")
        session.drawn[FOLDER] = folder

    return work


def pack(quantized: Any, path: Path) -> None:
    """The quantized run as one archive."""
    from analysis.quant.store import save_quantized
    from analysis.runs import write_manifest

    with TemporaryDirectory(prefix="workbench-") as parent, zipfile.ZipFile(path, "w") as archive:
        folder = save_quantized(quantized, Path(parent) / "run")
        write_manifest(folder, "quantize", {"from": "workbench", **dict(quantized.config)})
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
