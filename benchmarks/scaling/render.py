"""docs/scaling.md from the points that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.scaling.features import Features
from benchmarks.scaling.fit import (
    MEMORY,
    TIME,
    Fit,
    fitted,
    held_out,
    memory_terms,
    predicted,
    time_terms,
)
from benchmarks.scaling.models import Shape
from benchmarks.scaling.points import WORKS, Point
from benchmarks.table.markdown import table

ENOUGH = 8  # points of a work, before anything is fitted to them
Measured = Sequence[tuple[Point, Mapping[str, Any]]]
INTRO = """# Growth on paper and measured

Random weights, UNets of Stable Diffusion 1.5's make, no guidance, float32. Every point is a
process of its own, so that its peak is its own; the weights are in memory before the clock starts.
Of a calibration, samples are those of a step; of a reconstruction, samples are the set's, and
steps the iterations a block (batch 2, roundings and scales together).
"""


def document(
    measured: Measured,
    left: Sequence[Point],
    counted: Mapping[Shape, Features],
    xl: Features,
    made: str,
) -> str:
    """The whole page."""
    parts = [INTRO, made, "## Counted\n", _counts(counted, xl)]
    parts += ["## Measured\n", _rows(measured, counted)] if measured else []
    if left:
        largest = left[-1]
        parts.append(
            f"**Not measured yet:** {len(left)} of {len(left) + len(measured)} points, the largest "
            f"{largest.work} of the UNet {largest.shape.name}.\n"
        )
    parts += ["## The fit, and what it says of SDXL\n", *_fits(measured, counted, xl)]
    return "\n".join(parts)


def _counts(counted: Mapping[Shape, Features], xl: Features) -> str:
    head = ["UNet", "parameters", "layers", "TFLOP a pass", "inputs of layers", "largest"]
    named = [*((shape.name, one) for shape, one in counted.items()), ("SDXL, 128 x 128", xl)]
    rows = [
        [
            name,
            f"{one.parameters / 1e6:.0f} M",
            str(one.layers),
            f"{one.flops / 1e12:.3f}",
            f"{one.values * 4 / 1e6:.0f} MB",
            f"{one.largest * 4 / 1e6:.1f} MB",
        ]
        for name, one in named
    ]
    return table(head, rows) + "\n"


def _rows(measured: Measured, counted: Mapping[Shape, Features]) -> str:
    head = ["work", "UNet", "samples", "steps", "seconds", "peak", "above the weights held"]
    rows = [
        [
            point.work,
            point.shape.name,
            str(point.samples),
            str(point.steps),
            f"{values['seconds']:.2f}",
            f"{values['peak_mb']:.0f} MB",
            f"{values['peak_mb'] - values['held_mb']:.0f} MB",
        ]
        for point, values in measured
    ]
    return table(head, rows) + "\n"


def _fits(measured: Measured, counted: Mapping[Shape, Features], xl: Features) -> list[str]:
    found, said = {}, []
    for work in WORKS:
        mine = [(point, values) for point, values in measured if point.work == work]
        if len(mine) < ENOUGH:
            said.append(f"{work}: {len(mine)} points, too few to fit; {ENOUGH} are needed.\n")
            continue
        time = [time_terms(point, counted[point.shape]) for point, _ in mine]
        memory = [memory_terms(point, counted[point.shape]) for point, _ in mine]
        seconds, peaks = ([values[name] for _, values in mine] for name in ("seconds", "peak_mb"))
        found[work] = fitted(time, seconds), fitted(memory, peaks)
        last = mine[-1][0].shape.name
        said += [
            f"**{work}**, {len(mine)} points. Seconds: {_formula(found[work][0], TIME)}. "
            f"Memory: {_formula(found[work][1], MEMORY)}. The largest point ({last}), foretold "
            f"from all others, took {held_out(time, seconds):.2f} times the seconds and "
            f"{held_out(memory, peaks):.2f} times the memory.\n"
        ]
    return [*said, _xl(found, xl)] if found else said


def _formula(fit: Fit, names: Sequence[str]) -> str:
    terms = [f"{factor:.3g} {name}" for factor, name in zip(fit.factors, names, strict=True)]
    return f"{' + '.join(terms)}, off by {100 * fit.worst:.0f} % at most"


def _xl(fits: dict[str, Any], xl: Features) -> str:
    """Runs as people would make them, foretold."""
    wishes = {"capture": (16, 50), "calibration": (16, 50), "reconstruction": (256, 300)}
    head = ["SDXL, foretold", "samples", "steps", "hours", "memory"]
    rows = []
    for work in fits:
        samples, steps = wishes[work]
        seconds, peak = predicted(fits, Point(work, Shape(0, 0, 128), samples, steps), xl)
        rows.append(
            [work, str(samples), str(steps), f"{seconds / 3600:.1f}", f"{peak / 1e3:.1f} GB"]
        )
    note = "The fit reaches beyond what was measured: a guess with a formula, not a measurement.\n"
    return table(head, rows) + "\n\n" + note
