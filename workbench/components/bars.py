"""A histogram that is edited by dragging its bars, by keyboard, or as numbers.

The value is {names: [...], prefix, counts: [...], most, empty}; `names` label the bars, behind
`prefix` where they are spoken, `most` is the highest bar there can be, and where there are no bars
`empty` says why. After a change `select` is
fired with {counts}. Every bar is a slider of its own: up and down change it, left and right go to
the next one.
"""

from __future__ import annotations

from workbench.components.part import part

bars = part(
    """
<div class="wb-bars">
  <p class="wb-bars-empty" hidden></p>
  <div class="wb-bars-plot" role="group" aria-label="Samples at each timestep"></div>
  <p class="wb-bars-axis"><span>noise</span><b role="status"></b><span>picture</span></p>
  <details><summary>Edit as numbers</summary><div class="wb-bars-cells"></div></details>
</div>""",
    "bars.js",
)
