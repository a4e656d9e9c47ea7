"""A file dropped anywhere on the page goes where files are received; shows that while it hovers."""

from __future__ import annotations

from workbench.components.part import part

# The value is the `elem_id` of the file component and of the panel around it: {upload, panel}.
drop = part('<p class="wb-drop" hidden>Drop the capture file to open it</p>', "drop.js")
