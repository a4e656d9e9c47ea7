"""Samples of the exported model in a runtime, beside the float and the simulated one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from analysis.backends import BACKENDS, BackendOptions
from analysis.backends.denoiser import CompiledDenoiser, compiled_handle
from analysis.backends.layers import RanRow, ran_rows, work
from analysis.comparison import Comparison, compare
from analysis.metrics.image import psnr
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample
from analysis.progress import Progress, ShouldStop
from analysis.quant.model import QuantizedModel


@dataclass(frozen=True)
class RealComparison:
    """The float model against the exported one, and what the runtime says of it.

    `comparison.values` are those of `analysis.compare` with the runtime's pictures as the
    candidate; `seconds_quantized` is measured, without compiling. `values` holds backend, seconds
    (simulated, of the runtime alone, compiling), bytes, psnr_simulated_db (runtime against
    simulation), the share of the time by kind of work, and notes.
    """

    comparison: Comparison
    layers: tuple[RanRow, ...]
    values: Mapping[str, Any]


def compare_real(
    model: ModelHandle,
    quantized: QuantizedModel,
    backend: str = "openvino",
    samples: int = 64,
    steps: int = 50,
    seed: int = 0,
    scheduler: str | None = None,
    prompt: str | None = None,
    guidance_scale: float | None = None,
    *,
    options: BackendOptions | None = None,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> RealComparison:
    """Sample float, simulated and exported model from the same noise.

    Raises:
        UserError: for a backend that does not exist or is not installed, a model that cannot be
            exported, and as for `analysis.compare`.
        Cancelled: when `should_stop` says so.
    """
    runtime = BACKENDS.get(backend)
    chosen = options or BackendOptions()
    handle = compiled_handle(quantized, runtime, chosen)
    real = replace(quantized, handle=handle)
    told = (samples, steps, seed, scheduler, prompt, guidance_scale)
    done = compare(model, real, *told, progress=progress, should_stop=should_stop)
    started = time.perf_counter()
    simulated = sample(quantized.handle, done.spec, progress=progress, should_stop=should_stop)
    seconds = time.perf_counter() - started
    denoiser = handle.denoiser
    assert isinstance(denoiser, CompiledDenoiser)
    # Sampling began before the model was compiled.
    done.values["seconds_quantized"] -= denoiser.compile_seconds
    rows = tuple(ran_rows(quantized, denoiser.any_compiled()))
    values = {
        "backend": backend,
        "seconds_simulated": seconds,
        "seconds_runtime": denoiser.seconds,
        "seconds_compiling": denoiser.compile_seconds,
        "bytes": len(denoiser.model),
        "psnr_simulated_db": psnr(simulated, torch.from_numpy(done.candidate)),
        "integer_layers": sum(row.ran == "int8" for row in rows),
        "layers": [asdict(row) for row in rows],
        "work": _shares(quantized, denoiser, chosen, runtime.compile),
        "notes": list(denoiser.notes),
    }
    return RealComparison(done, rows, values)


def _shares(
    model: QuantizedModel, denoiser: CompiledDenoiser, options: BackendOptions, build: Any
) -> dict[str, float] | None:
    """Shares of one step's time by kind of work, from a run of its own that is watched."""
    inputs = denoiser.last_inputs
    shapes = {name: value.shape for name, value in inputs.items()}
    watched = build(denoiser.model, shapes, replace(options, watch=True))
    for _ in range(3):  # the first runs make room
        watched.run(inputs)
    spent = work(model, watched)
    if spent is None or spent.total == 0:
        return None
    return {name: value / spent.total for name, value in asdict(spent).items()}
