"""Sets of pictures: side by side, or two of them under a swipe handle.

The value is {mode, figures: [{source, caption}], swipe: {under, over, caption}} with PNG data
addresses; `mode` is "grid", "difference" or "swipe". The handle is a native range input, so arrow
keys move it.
"""

from __future__ import annotations

from workbench.components.part import part

pictures = part(
    """
<div class="wb-pictures" hidden>
  <div class="wb-figures"></div>
  <figure class="wb-swipe">
    <div><img alt=""><img alt=""><i></i></div>
    <input type="range" min="0" max="100" value="50" aria-label="Share of float pictures shown">
    <figcaption></figcaption>
  </figure>
</div>""",
    "pictures.js",
)
