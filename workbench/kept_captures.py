"""Captures that visitors of a demo have taken: kept for a while, within limits."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from analysis.runs import MANIFEST

LIFE = 6 * 3600.0  # seconds after it was taken
MOST_BYTES = 2**30


def prune(
    runs: Path, open_now: Collection[str], life: float = LIFE, most: int = MOST_BYTES
) -> list[str]:
    """Delete captures that the page has kept: old ones, and the oldest while there is too much.

    Returns:
        the names that were deleted. What somebody looks at, and runs that were not made by the
        page, are left alone.
    """
    kept = sorted((folder.stat().st_mtime, folder) for folder in runs.glob("*-*") if _ours(folder))
    sizes = {folder: sum(p.stat().st_size for p in folder.iterdir()) for _, folder in kept}
    gone = []
    for made, folder in kept:
        too_much = sum(sizes.values()) > most
        if folder.name not in open_now and (too_much or time.time() - made > life):
            shutil.rmtree(folder, ignore_errors=True)
            del sizes[folder]
            gone.append(folder.name)
    return gone


def _ours(folder: Path) -> bool:
    """Whether the page made this run."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())["arguments"]["from"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return str(told).startswith("workbench")
