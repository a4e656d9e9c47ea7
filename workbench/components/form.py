"""A form made from a description: native inputs in groups, and parts to leave out.

The value is {summary, method, fields, parts}; see `workbench.forms`. `{loading: true}` says that
the description is still to come. An input fires `set` with the field's name as its index; a
checkbox of a part fires `part` with the part's name.
"""

from __future__ import annotations

from workbench.components.part import part

form = part(
    """
<div class="wb-form">
  <p class="wb-form-summary" role="status"></p>
  <fieldset class="wb-form-parts" hidden><legend>Leave out, to see what it brings</legend>
    <div></div></fieldset>
  <div class="wb-form-groups"></div>
</div>""",
    "form.js",
)
