"""What can be chosen for a sweep, known without loading what runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.heavy import is_loaded
from workbench.samplers import choices

# Titles of the registered methods, so that the page opens without what runs them.
TITLES = {
    "rtn": "Round to nearest",
    "ptq4dm": "PTQ4DM",
    "q-diffusion": "Q-Diffusion",
    "eda-dm": "EDA-DM",
}


def all_plans(chosen: Sequence[str], more: str) -> list[str]:
    """The plans that are ticked, and those that are typed."""
    typed = [text.upper() for text in re.split(r"[\s,;]+", more or "") if text]
    return list(dict.fromkeys([*chosen, *typed]))


def sets() -> list[tuple[str, str]]:
    """Title and name of every calibration."""
    own = [("Each method's own", "own")]
    return own + [(title, name) for title, name in choices() if name != "custom"]


def methods() -> dict[str, str]:
    """Titles of methods by name; those that others have filed too, once they are loaded."""
    if not is_loaded():
        return TITLES
    from analysis.methods import METHODS

    return TITLES | {n: METHODS.get(n).title for n in METHODS if n not in TITLES}
