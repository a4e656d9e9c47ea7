"""Nothing to see: asks the server for what takes long to find out, once the page is drawn.

While the value is true it fires `fill`; see `workbench.heavy`. Parts inside a closed panel cannot
ask themselves: they are not on the page yet.
"""

from __future__ import annotations

from workbench.components.part import part

asker = part("<span hidden></span>", "asker.js")
