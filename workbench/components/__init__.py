"""Parts of the page that Gradio does not have: constant markup, filled by their own script."""

from workbench.components.bar import selection_bar
from workbench.components.bars import bars
from workbench.components.downloads import downloads
from workbench.components.facts import facts, notice
from workbench.components.part import Part, encoded
from workbench.components.pictures import pictures
from workbench.components.plot import clip_plot, plot
from workbench.components.progress import progress
from workbench.components.table import table

__all__ = [
    "Part",
    "bars",
    "clip_plot",
    "downloads",
    "encoded",
    "facts",
    "notice",
    "pictures",
    "plot",
    "progress",
    "selection_bar",
    "table",
]
