"""A plotly figure that can be clicked and driven by arrow keys, which `gr.Plot` cannot.

The value is a figure as a dictionary; `select` is fired with what was clicked. A figure whose
layout has `meta.rows` is a map of cells: a click or an arrow key selects (row, column). After
every drawing the plot's `data-rev` goes up by one.
"""

from __future__ import annotations

from pathlib import Path

import plotly

from workbench.components.part import part

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

plot = part(
    '<div class="plot" role="img"></div>',
    "plot.js",
    head=f'<script src="/gradio_api/file={PLOTLY_JS}"></script>',
)
