"""A component whose markup never changes and whose data reaches the page only as text.

Layer names come from other people's files. The template is therefore constant, the value
travels as JSON, and the scripts beside this file write it with `textContent`. The JSON stays one
string: Gradio copies every output of an event, and deep copies cost more than drawing them.

These are instances of `gr.HTML`, not subclasses: Gradio writes a stub file beside every subclass.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import orjson

Part = gr.HTML
Builder = Callable[..., Part]


def part(template: str, *scripts: str, head: str | None = None) -> Builder:
    """A function that builds the component of a template and of the script files beside it."""
    folder, names = Path(__file__).parent, ("told.js", *scripts)
    code = "\n".join((folder / name).read_text(encoding="utf-8") for name in names)

    def build(value: Any = None, *, elem_id: str, **options: Any) -> Part:
        return gr.HTML(
            None if value is None else encoded(value),
            html_template=template,
            js_on_load=f"const PART = '{elem_id}', HEARD = [];\n{code}",
            head=head,
            apply_default_css=False,
            elem_id=elem_id,
            **options,
        )

    return build


def heard(part: Part, event: str) -> str:
    """Have a part keep what is told of an event; JavaScript of the listener that takes it."""
    part.js_on_load = part.js_on_load.replace("HEARD = [", f"HEARD = ['{event}', ", 1)
    return f"() => [(window.workbenchTold?.['{part.elem_id}']?.{event} ?? []).splice(0)]"


def encoded(value: Any) -> str:
    """A value as the JSON text that a part's script reads; `<` never appears in it."""
    text = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return text.replace("<", "\\u003c")
