"""How far long work is: percent, remaining time, place in the queue.

The value is {state, percent, text}; `None` shows nothing.
"""

from __future__ import annotations

from workbench.components.part import part

progress = part(
    """
<div class="wb-progress" hidden>
  <progress max="100" aria-label="Progress"></progress><p role="status"></p>
</div>""",
    "progress.js",
)
