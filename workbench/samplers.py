"""Calibration samplers by their names, for people, without loading what they need to draw."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise

from analysis.errors import UserError

TITLES = {
    "timestep-uniform": "Timestep-uniform (Q-Diffusion)",
    "ndtc": "NDTC (PTQ4DM)",
    "tdac": "TDAC (EDA-DM)",
    "random": "Random timesteps",
    "single": "One timestep only",
    "forward": "Noised pictures (forward)",
    "gaussian": "Pure noise",
    "custom": "Custom: the histogram below",
}
MOST_BARS = 100  # of the histogram that can be edited
MOST_A_BAR = 1024


def known() -> list[str]:
    """Names that can be chosen; samplers that others have filed too, once they are loaded."""
    loaded = sys.modules.get("analysis.calibration.samplers")
    # Another thread may be in the middle of loading them.
    filed = loaded.SAMPLERS.names() if hasattr(loaded, "SAMPLERS") else []
    return [*TITLES, *(name for name in filed if name not in TITLES)]


def choices() -> list[tuple[str, str]]:
    """Title and name of every sampler."""
    return [(TITLES.get(name, name), name) for name in known()]


def read_samplers(text: str) -> str:
    """Names with dots between them, each once and in the page's order; `ValueError` if unknown."""
    named = set(text.split(".")) - {""}
    if not named <= set(known()):
        raise ValueError(text)
    return ".".join(name for name in known() if name in named)


def read_counts(text: str) -> str:
    """Whole numbers with a minus between them, such as 8-4-0-2; `ValueError` for anything else."""
    if text and len(numbers := text.split("-")) <= MOST_BARS:
        if all(n.isascii() and n.isdigit() and int(n[:9]) <= MOST_A_BAR for n in numbers):
            return "-".join(str(int(n[:9])) for n in numbers)
    elif not text:
        return ""
    raise ValueError(text)


def counts_of(text: str, steps: int, size: int) -> list[int]:
    """The histogram that was edited; `size` spread evenly where it is of other steps, or none."""
    counts = [int(n) for n in text.split("-")] if text else []
    return counts if len(counts) == steps else even(steps, size)


def even(steps: int, size: int) -> list[int]:
    """`size` samples over `steps` steps, as alike as whole numbers can be."""
    return [size * (i + 1) // steps - size * i // steps for i in range(steps)]


def ramp(steps: int, size: int, rising: bool) -> list[int]:
    """`size` samples, more at one end: in proportion to 1, 2, ... steps."""
    ends = [size * i * (i + 1) // (steps * (steps + 1)) for i in range(steps + 1)]
    counts = [b - a for a, b in pairwise(ends)]
    return counts if rising else counts[::-1]


def checked_counts(counts: Sequence[int]) -> tuple[int, ...]:
    """A histogram that can be drawn.

    Raises:
        UserError: when all its bars are empty.
    """
    if sum(counts) < 1:
        raise UserError("The histogram is empty; raise one of its bars above 0.")
    return tuple(int(n) for n in counts)
