"""Whether a file that a visitor brings can be afforded: a small one may unpack to a huge one."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from analysis.errors import UserError

MOST_UNPACKED = 2**30  # bytes of one capture's statistics


def check_upload(path: Path, most: int = MOST_UNPACKED) -> None:
    """Look at what a capture's header promises, before anything is unpacked.

    What is no capture at all passes: reading it says so, in better words.

    Raises:
        UserError: when its statistics would take more memory than one visitor may have.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["header"])
        size = sum(
            np.dtype(kind).itemsize * prod(abs(int(n)) for n in shape)
            for kind, shape in header["deflated"].values()
        )
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError):
        return
    if size > most:
        raise UserError(
            f"This capture would take {size / 2**30:.1f} GB of memory, and {most / 2**30:.0f} GB "
            "is the most here; take it with fewer steps, or of some layers with `--layers`."
        )
