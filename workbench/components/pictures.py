"""Two sets of pictures: side by side, under a swipe handle, or as their difference.

The value is {mode, float, quantized, difference, captions} with PNG data addresses; `mode` is
"side", "swipe" or "difference". The swipe handle is a native range input, so arrow keys move it.
"""

from __future__ import annotations

from workbench.components.part import part

pictures = part(
    """
<div class="wb-pictures" hidden>
  <figure class="wb-left"><img alt=""><figcaption></figcaption></figure>
  <figure class="wb-right"><img alt=""><figcaption></figcaption></figure>
  <figure class="wb-swipe">
    <div><img alt=""><img alt=""><i></i></div>
    <input type="range" min="0" max="100" value="50" aria-label="Share of float pictures shown">
    <figcaption></figcaption>
  </figure>
</div>""",
    "pictures.js",
)
