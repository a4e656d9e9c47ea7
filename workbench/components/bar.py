"""The bar that stays in sight: what is selected, and the link that brings it back.

Shows model, capture, layer, timestep and plan; fires `select` with {layer} or {step}. The value's
`layers` and `timesteps` may be left out when the capture has not changed. Its `query` goes into
the page's address; `None` leaves the address alone. When the browser goes back or forward it fires
`address` with the address's query and a number, and writes no address until a value has that
number as its `answer`. Values are drawn in the order of their `turn`: one that comes late is
passed over.
"""

from __future__ import annotations

from workbench.components.part import part

selection_bar = part(
    """
<div class="wb-bar">
  <div class="wb-bar-facts"><span class="wb-model"></span><span class="wb-capture"></span></div>
  <label class="wb-bar-layer"><span>Layer</span><select aria-label="Layer"></select></label>
  <label class="wb-bar-step"><span>Timestep <b></b></span>
    <input type="range" min="0" step="1" aria-label="Timestep, from noise to picture"></label>
  <div class="wb-bar-plan"><span>Plan</span><b></b></div>
  <button type="button" class="wb-link">Copy link</button>
  <p class="wb-live" aria-live="polite"></p>
</div>""",
    "bar.js",
)
