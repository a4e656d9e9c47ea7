"""Numbers with their names and units, and one-sentence notices."""

from __future__ import annotations

from workbench.components.part import part

# A heading, a sentence, tiles, remarks: {title, text, items: [{name, value, unit, note}], notes}.
# With `late` it fires an event of that name once it is drawn: what may wait is painted then.
facts = part(
    '<div class="wb-facts"><h3 aria-level="2"></h3><p></p><dl></dl><ul></ul></div>',
    "breaks.js",
    "facts.js",
)

# One sentence for the visitor: {text, kind: "error" or "info"}; `None` clears it.
notice = part('<div class="wb-notice" role="status" aria-live="assertive"></div>', "notice.js")
