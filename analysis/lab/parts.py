"""One progress for work of several parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from analysis.progress import Progress, report

_WHOLE = 1000  # what is done is told in thousandths


def in_parts(progress: Progress | None, costs: Sequence[float]) -> list[Progress]:
    """A progress for each part, which together tell one that never goes back.

    Args:
        costs: about how long each part takes, in any unit.
    """
    total = sum(costs) or 1.0
    furthest = 0

    def part(before: float, cost: float) -> Progress:
        def told(done: int, of: int, text: str) -> None:
            nonlocal furthest
            share = (before + cost * min(1.0, done / max(of, 1))) / total
            furthest = max(furthest, int(_WHOLE * share))
            report(progress, furthest, _WHOLE, text)

        return told

    starts = accumulate(costs, initial=0.0)
    return [part(before, cost) for before, cost in zip(starts, costs, strict=False)]
