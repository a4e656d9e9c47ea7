"""The pieces of a self-contained page: everything that is not markup of ours is escaped."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from analysis.plotly_js import PLOTLY_JS
from analysis.records import Array

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
SCRIPT = (Path(__file__).parent / "report.js").read_text(encoding="utf-8")
# Nothing may be fetched from anywhere, whatever the page's data might hold.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
)


def page(title: str, sections: Sequence[str]) -> str:
    """The whole file, with plotly inside."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n"
        f"<script>{inlined(PLOTLY_JS.read_text(encoding='utf-8'))}</script>\n</head>\n<body>\n<main>\n"
        f"{chr(10).join(sections)}\n</main>\n<script>\n{inlined(SCRIPT)}</script>\n</body>\n</html>\n"
    )


def inlined(script: str) -> str:
    """A script that cannot end its element early."""
    return script.replace("</script", "<\\/script")


def section(title: str, *parts: str) -> str:
    """A heading and what stands below it."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{chr(10).join(p for p in parts if p)}\n</section>"


def paragraph(text: str) -> str:
    """A sentence or two."""
    return f"<p>{escape(text)}</p>"


def tiles(items: Sequence[tuple[str, str, str]]) -> str:
    """Numbers with their names and units: (name, value, unit)."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(unit)}</small></dd></div>"
        for name, value, unit in items
    )
    return f'<dl class="tiles">{cells}</dl>'


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; numbers are given with three significant digits."""
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in columns)
    body = "\n".join(f"<tr>{''.join(_cell(v) for v in row)}</tr>" for row in rows)
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def folded(summary: str, content: str) -> str:
    """What is opened by a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{content}\n</details>"


def plot(figure: Mapping[str, Any], label: str) -> str:
    """A plotly figure that the page's script draws; the table beside it says the same."""
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    return (
        f'<div class="plot" role="figure" aria-label="{escape(label)}">'
        f'<script type="application/json">{data}</script></div>'
    )


def picture(pixels: Array, caption: str) -> str:
    """Bytes [H, W] or [H, W, 3] inside the page."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    words = escape(caption)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def number(value: float | None, digits: int = 3) -> str:
    """For people; a dash where there is none."""
    return "-" if value is None or value != value else f"{value:.{digits}g}"


def _cell(value: Any) -> str:
    if value is None or isinstance(value, float):
        return f'<td class="number">{number(value)}</td>'
    kind = ' class="number"' if isinstance(value, int) and not isinstance(value, bool) else ""
    return f"<td{kind}>{escape(str(value))}</td>"
