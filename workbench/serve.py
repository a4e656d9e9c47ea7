"""Serving the page from this machine alone."""

from __future__ import annotations

import gc
from pathlib import Path

import gradio as gr

from workbench.components.plot import PLOTLY_URL
from workbench.one_app import one_app
from workbench.page import Settings
from workbench.shell import STYLE, build_page, theme

# The plots ask for it as well, but only when they stand on the page.
PLOTLY_SOON = f'<link rel="preload" as="script" href="{PLOTLY_URL}">'
PATIENT = 0.05  # seconds until Gradio looks again whether a run was begun: as on Windows
MOST_UPLOAD = 200 * 2**20  # bytes of a capture file


def serve(model: str, host: str, port: int, runs: Path, demo: bool) -> None:
    """Build and launch; returns when the server is stopped."""
    settings = Settings.for_demo(model, runs) if demo else Settings(model, runs)
    with one_app():
        blocks = build_page(settings)
    _let_rest(blocks)
    gc.freeze()
    gc.enable()
    print(f"The workbench is at http://{host}:{port}", flush=True)
    blocks.launch(
        server_name=host,
        server_port=port,
        quiet=True,
        share=False,
        ssr_mode=False,
        theme=theme(),
        head=PLOTLY_SOON,
        css_paths=sorted(STYLE.parent.glob("*.css")),
        footer_links=[],
        max_file_size=MOST_UPLOAD,
    )


def _let_rest(blocks: gr.Blocks) -> None:
    """Let the page sleep while nobody uses it.

    Gradio looks for work a thousand times a second, which takes 7 % of a slow core; only runs of
    seconds and minutes go through its queue here.
    """
    queue = blocks._queue
    queue.sleep_when_free = queue.progress_update_sleep_when_free = PATIENT
