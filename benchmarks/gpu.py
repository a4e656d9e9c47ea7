"""The ratios of capture and simulation on a GPU, and what torch.compile is worth there."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from benchmarks.capture_cost import SAMPLES, STEPS, capture_time
from benchmarks.int8 import WIDE, wide_model
from benchmarks.simulation import simulation

NONE = "There is no CUDA device on this machine: nothing was measured."
ROUNDS = 3


def gpu() -> dict[str, Any]:
    """Both models, the bundled and the CIFAR-10 DDPM's shape, on the first CUDA device."""
    import torch

    if not torch.cuda.is_available():
        return {"gpu": NONE}
    import analysis

    wide = wide_model(WIDE, 32)
    wide.pipeline.to("cuda")
    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name()}
    for name, model in (("bundled", analysis.load_model("fashion", "cuda")), ("wide", wide)):
        values = {**capture_time(model), **simulation(model), **compile_time(model)}
        found |= {f"{name}_{key}": value for key, value in values.items()}
    return found


def compile_time(
    model: Any, steps: int = STEPS, samples: int = SAMPLES, rounds: int = ROUNDS
) -> dict[str, Any]:
    """Seconds of sampling, as it is and under torch.compile, in turn; the first pass apart."""
    from analysis.models.compiled import compiled, why_not_compiled
    from analysis.models.trajectory import sample, sampling_spec

    spec, quick = (sampling_spec(model, steps=n, samples=samples) for n in (steps, 1))
    fast = compiled(model)
    first = _seconds(lambda: sample(fast, quick, batch=samples))
    if told := why_not_compiled([fast]):
        return {"not_compiled": told[0]}
    rows = []
    for _ in range(rounds):
        plain = _seconds(lambda: sample(model, spec, batch=samples))
        rows.append((plain, _seconds(lambda: sample(fast, spec, batch=samples))))
    return {
        "compiling_s": first,
        "eager_s": median(plain for plain, _ in rows),
        "compiled_s": median(quick for _, quick in rows),
        "eager_over_compiled": median(plain / quick for plain, quick in rows),
    }


def _seconds(work: Any) -> float:
    """Sampling ends with pictures on the host, so the device is done when it returns."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
