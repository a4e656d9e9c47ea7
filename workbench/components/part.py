"""A component whose markup never changes and whose data reaches the page only as text.

Layer names come from other people's files. The template is therefore constant, the value
travels as JSON, and the scripts beside this file write it with `textContent`. These are
instances of `gr.HTML`, not subclasses: Gradio writes a stub file beside every subclass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

Part = gr.HTML
Builder = Callable[..., Part]


def part(template: str, script: str, head: str | None = None) -> Builder:
    """A function that builds the component of a template and of the script file beside it."""
    code = (Path(__file__).parent / script).read_text(encoding="utf-8")

    def build(value: Any = None, **options: Any) -> Part:
        return gr.HTML(
            value,
            html_template=template,
            js_on_load=code,
            head=head,
            apply_default_css=False,
            **options,
        )

    return build
