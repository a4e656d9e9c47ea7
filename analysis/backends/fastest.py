"""Which precision is faster for what does not run in integers: it depends on the model."""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

import numpy as np

from analysis.backends import Backend, BackendOptions, Compiled, Shapes

ROUNDS = 3


def compile_fastest(
    backend: Backend, model: bytes, shapes: Shapes, options: BackendOptions
) -> Compiled:
    """Compile as asked; where nothing is asked of bfloat16, with and without it, and time both.

    Bfloat16 halves what is moved, but where float and integer layers take turns it can cost more
    in conversions than it saves.
    """
    if options.bfloat16 is not None or not backend.bfloat16:
        chosen = replace(options, bfloat16=bool(options.bfloat16))
        return backend.compile(model, shapes, chosen)
    both = [backend.compile(model, shapes, replace(options, bfloat16=b)) for b in (False, True)]
    full, brief = both
    if not brief.bfloat16:
        full.notes = brief.notes
        return full
    inputs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    rounds = [[_seconds(compiled, inputs) for compiled in both] for _ in range(1 + ROUNDS)][1:]
    slow, fast = (median(column) for column in zip(*rounds, strict=True))
    taken = brief if fast < slow else full
    taken.notes = (
        *taken.notes,
        f"What does not run in integers takes {'bfloat16' if taken is brief else 'float32'}, the "
        f"faster here: {1e3 * slow:.1f} ms a step with float32, {1e3 * fast:.1f} ms with bfloat16.",
    )
    return taken


def _seconds(compiled: Compiled, inputs: dict[str, np.ndarray]) -> float:
    started = time.perf_counter()
    compiled.run(inputs)
    return time.perf_counter() - started
