"""A plotly figure that can be clicked and driven by arrow keys, which `gr.Plot` cannot.

The value is a figure as a dictionary; `select` is fired with what was clicked. A figure whose
layout has `meta.rows` is a map of cells: a click or an arrow key selects (row, column). On one
whose layout has `meta.moves` the arrow keys move the page's selected cell, and where it is "x" a
click selects the timestep of that number. After every drawing the plot's `data-rev` goes up by one.

A clip plot also has two handles on its x axis, at `meta.clip`: dragging them fires `drag`, letting
go or an arrow key `clip`, both with the new [low, high] and a count that goes up.
"""

from __future__ import annotations

from analysis.plotly_js import PLOTLY_JS
from workbench.components.part import part

_PLOT = '<div class="plot" role="figure"></div>'
_HANDLE = '<div class="wb-clip" role="slider" tabindex="0" aria-valuenow="0" hidden><i></i></div>'
PLOTLY_URL = f"/gradio_api/file={PLOTLY_JS}"
_HEAD = f'<script src="{PLOTLY_URL}"></script>'

plot = part(_PLOT, "plot.js", head=_HEAD)
clip_plot = part(
    f'<div class="wb-clip-plot">{_PLOT}{_HANDLE}{_HANDLE}</div>', "plot.js", "clip.js", head=_HEAD
)
