"""What work will cost, as a record and as words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from analysis.errors import UserError

GIGABYTE, MEGABYTE = 1e9, 1e6


@dataclass(frozen=True)
class Estimate:
    """Seconds and memory that work will take, as a short probe and exact counts foretell them.

    `bytes` is the most that this process (or on a GPU, torch on that GPU) will hold at once, with
    what it holds already; `more` is what has to be found for that; `free` is what there is, `None`
    where it is not known. `parts` are seconds by the stage of the work.
    """

    seconds: float
    bytes: int
    more: int
    free: int | None
    parts: tuple[tuple[str, float], ...] = ()

    @property
    def fits(self) -> bool:
        """Whether what is missing is free."""
        return self.free is None or self.more <= self.free

    @property
    def text(self) -> str:
        """Time and memory for people: `about 2 min, 1.1 GB`."""
        return f"about {duration(self.seconds)}, {size(self.bytes)}"

    def values(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "seconds": self.seconds,
            "bytes": self.bytes,
            "more_bytes": self.more,
            "free_bytes": self.free,
            "fits": self.fits,
            "parts": dict(self.parts),
        }


def total(stages: Sequence[Estimate]) -> Estimate:
    """Stages one after another: seconds add up, memory is that of the hungriest."""
    most = max(stages, key=lambda one: one.bytes)
    parts = tuple(part for one in stages for part in one.parts)
    return replace(most, seconds=sum(one.seconds for one in stages), parts=parts)


def check_fits(estimate: Estimate, otherwise: str) -> None:
    """Raise `UserError` where work would need more memory than is free.

    Args:
        otherwise: what a person can do to go on anyway, as the end of a sentence.
    """
    if not estimate.fits:
        assert estimate.free is not None
        raise UserError(
            f"This would take about {size(estimate.more)} more memory, and {size(estimate.free)} "
            f"are free; take fewer samples or a smaller batch, or {otherwise}."
        )


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would choose."""
    if seconds < 1:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"


def size(count: float) -> str:
    """Bytes in the unit that a person would choose."""
    if count < 0.95 * GIGABYTE:
        return f"{count / MEGABYTE:.0f} MB"
    return f"{count / GIGABYTE:.1f} GB"
