"""A player along the steps of sampling: strips of frames, one step of all of them at a time.

The value is {frames, strips: [{source, caption}], labels: [...]}: every strip is one picture with
its frames below each other, and there is a label a frame. Scrubbing needs no server; the handle is
a native range input, so arrow keys step.
"""

from __future__ import annotations

from workbench.components.part import part

player = part(
    """
<div class="wb-player" hidden>
  <div class="wb-player-run">
    <button type="button">Play</button>
    <input type="range" min="0" step="1" value="0" aria-label="Sampling step">
  </div>
  <p role="status"></p>
  <div class="wb-figures"></div>
</div>""",
    "player.js",
)
