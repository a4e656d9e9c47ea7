"""One point in a process of its own: seconds, and the most memory the process ever held.

`python -m benchmarks.scaling.measure WORK WIDTH PER SIZE SAMPLES STEPS` prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.scaling.models import Shape, handle
from benchmarks.scaling.points import BATCH, Point

BITS = "W4A8"


def measured(point: Point) -> dict[str, Any]:
    """Seconds of the work, and MB before it and at the peak; the model is there before."""
    import torch

    model = handle(point.shape)
    assert model.trace.layers  # found by a small pass of its own
    work = WORKS[point.work](model, point)
    before = _held()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "held_mb": before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "threads": torch.get_num_threads(),
    }


def _capture(model: Any, point: Point) -> Callable[[], Any]:
    import analysis

    return lambda: analysis.capture(
        model, steps=point.steps, samples=point.samples, guidance_scale=1.0
    )


def _calibration(model: Any, point: Point) -> Callable[[], Any]:
    import analysis

    size = point.samples * point.steps  # as many of each step
    return lambda: analysis.calibrate(
        model,
        "timestep-uniform",
        size,
        steps=point.steps,
        guidance_scale=1.0,
        with_report=False,
        shared_runs=True,
    )


def _reconstruction(model: Any, point: Point) -> Callable[[], Any]:
    """AdaRound and scales together, `steps` iterations a block."""
    import analysis
    from analysis.quant.estimate import estimate_qparams
    from analysis.quant.phase import Phase
    from analysis.quant.plan import QuantPlan
    from analysis.quant.reconstruct import reconstruct

    told = {"guidance_scale": 1.0}
    drawn = analysis.calibrate(model, "gaussian", point.samples, with_report=False, **told)
    taken = analysis.capture(model, steps=1, samples=1, **told)
    stats = {layer.name: taken[layer.name].total for layer in taken.layers}
    grids, _ = estimate_qparams(model, QuantPlan.parse(BITS), stats)
    phase = Phase(name="blocks", iterations=point.steps, scales=True, batch=BATCH)
    return lambda: reconstruct(model, grids, drawn, phase)


WORKS = {"capture": _capture, "calibration": _calibration, "reconstruction": _reconstruction}


def _held() -> float:
    from analysis.cost.watch import Watch

    return Watch().held() / 2**20


if __name__ == "__main__":
    work, *numbers = sys.argv[1:]
    width, per, size, samples, steps = map(int, numbers)
    print(json.dumps(measured(Point(work, Shape(width, per, size), samples, steps))))
