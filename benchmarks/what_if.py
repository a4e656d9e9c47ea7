"""What-if on the bundled capture: how soon all layers and timesteps are predicted anew."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

TURNS = 5


def what_if() -> dict[str, Any]:
    """Milliseconds for the SQNR of all layers at all timesteps under a grid not asked for before.

    Each estimator at 4 and 8 bits, each granularity, and another share of the range, which only
    needs the noise anew; the best of five turns, each on a capture that remembers nothing.
    """
    from workbench.captures import bundled_capture
    from workbench.grids import ESTIMATORS
    from workbench.whatif import GRANULARITIES, Grid

    opened = bundled_capture()
    times = {}
    for estimator in ESTIMATORS:
        for bits in (4, 8):
            times[f"{estimator}_{bits}_bits_ms"] = _best(opened, Grid(bits, estimator=estimator))
    for granularity in GRANULARITIES[1:]:
        times[f"{granularity}_ms"] = _best(opened, Grid(granularity=granularity))
    times["share_of_range_ms"] = _best(opened, Grid(keep=80), before=Grid(keep=90))
    return {
        "layers": len(opened.names),
        "timesteps": opened.steps,
        **times,
        "median_ms": median(times.values()),
        "slowest_ms": max(times.values()),
        "limit_ms": 50.0,
    }


def _best(opened: Any, grid: Any, before: Any = None) -> float:
    from workbench.whatif import Grid, WhatIf

    seconds = []
    for _ in range(TURNS):
        asked = WhatIf(opened.capture, opened.layers)
        asked.sqnr_db(before or Grid(2))  # what belongs to the capture is there
        started = time.perf_counter()
        asked.sqnr_db(grid)
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds)
