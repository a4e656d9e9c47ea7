"""Links to files that are made in the browser: nothing is left on the server.

The value is {files: [{name, label, type, text}]}; `None` shows nothing.
"""

from __future__ import annotations

from workbench.components.part import part

downloads = part('<p class="wb-downloads" hidden></p>', "downloads.js")
