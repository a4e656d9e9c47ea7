"""Where plotly.js lies, which the page serves and every report has inside.

Its cartesian bundle, version 4.1.1, as npm has it (plotly.js-cartesian-dist-min): all plots are
scatter, bar, box or heatmap. The whole of it, which the plotly wheel brings, is three times as
large, and evaluating it took a fifth of the time until the page showed its first plot.
"""

from __future__ import annotations

from pathlib import Path

PLOTLY_JS = Path(__file__).parents[1] / "assets" / "plotly" / "plotly-cartesian.min.js"
