"""A plain table: sortable, selectable by mouse and keyboard, safe for any text.

The value is {caption, columns: [{title, unit}], rows: [[...]], keys: [...], selected}. With `keys`,
one a row, a click or Enter on a row fires `select` with its key. Numbers are given as numbers and
shown with three significant digits, so that columns sort by value. A column with `choices`, pairs
of a key and a label, holds cells {value, plan} that can be edited: choosing fires `input` with
[key of the row, column] as its index.
"""

from __future__ import annotations

from workbench.components.part import part

table = part(
    """
<div class="wb-table" tabindex="0" role="region">
  <table><caption></caption><thead><tr></tr></thead><tbody></tbody></table>
</div>""",
    "breaks.js",
    "table.js",
)
