"""Samples of the exported model in a runtime, beside the float and the simulated one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from analysis.backends import BACKENDS, Backend, BackendOptions
from analysis.backends.denoiser import CompiledDenoiser, compiled_handle
from analysis.backends.layers import RanRow, ran_rows, work
from analysis.backends.parting import layer_sqnr
from analysis.comparison import Comparison, compare
from analysis.int8 import has_symmetric_weights
from analysis.int8_cost import symmetry_cost
from analysis.metrics.image import psnr
from analysis.models.handle import ModelHandle
from analysis.models.trajectory import sample
from analysis.progress import Progress, ShouldStop, check_stop, report
from analysis.quant.model import QuantizedModel

ANY_REST = BackendOptions(bfloat16=None)
PARTING = 2  # samples that are looked at layer by layer


@dataclass(frozen=True)
class RealComparison:
    """The float model against the exported one, and what the runtime says of it.

    `comparison.values` are those of `analysis.compare` with the runtime's pictures as the
    candidate; `seconds_quantized` is measured, without compiling. `values` holds backend, rest
    (the precision of what does not run in integers), seconds (simulated, of the runtime alone,
    compiling), bytes of the file and of the float weights, psnr_simulated_db (runtime against
    simulation), layers, the share of the time by kind of work, what symmetric weights cost, and
    notes.
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
    options: BackendOptions = ANY_REST,
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> RealComparison:
    """Sample float, simulated and exported model from the same noise; look at every layer.

    Raises:
        UserError: for a backend that does not exist or is not installed, a model that cannot be
            exported, and as for `analysis.compare`.
        Cancelled: when `should_stop` says so.
    """
    runtime = BACKENDS.get(backend)
    report(progress, 0, 1, "exporting the model")
    handle = compiled_handle(quantized, runtime, options)
    denoiser = handle.denoiser
    assert isinstance(denoiser, CompiledDenoiser)
    check_stop(should_stop)
    told = (samples, steps, seed, scheduler, prompt, guidance_scale)
    real = replace(quantized, handle=handle)
    done = compare(model, real, *told, progress=progress, should_stop=should_stop)
    # Sampling began before the model was compiled.
    done.values["seconds_quantized"] -= denoiser.compile_seconds
    values = _simulated(model, quantized, done, progress, should_stop)
    rows, facts = _facts(quantized, denoiser, runtime, options, progress, should_stop)
    return RealComparison(done, rows, values | facts)


def _simulated(
    model: ModelHandle,
    quantized: QuantizedModel,
    done: Comparison,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> dict[str, Any]:
    """The simulated model beside what the runtime drew, and what symmetric weights cost."""
    started = time.perf_counter()
    simulated = sample(quantized.handle, done.spec, progress=progress, should_stop=should_stop)
    seconds = time.perf_counter() - started
    cost = None
    if has_symmetric_weights(quantized):
        pictures = torch.from_numpy(done.reference)
        found = symmetry_cost(
            model, quantized, done.spec, pictures, simulated, progress, should_stop
        )
        cost = asdict(found) | {"cost_db": found.cost_db}
    return {
        "seconds_simulated": seconds,
        "psnr_simulated_db": psnr(simulated, torch.from_numpy(done.candidate)),
        "symmetry": cost,
    }


def _facts(
    model: QuantizedModel,
    denoiser: CompiledDenoiser,
    runtime: Backend,
    options: BackendOptions,
    progress: Progress | None,
    should_stop: ShouldStop | None,
) -> tuple[tuple[RanRow, ...], dict[str, Any]]:
    """What the runtime tells of the model that it has run."""
    compiled = denoiser.any_compiled()
    taken = replace(options, bfloat16=compiled.bfloat16)
    check_stop(should_stop)
    report(progress, 0, 2, "comparing simulation and runtime layer by layer")
    inputs = {
        name: value[:PARTING] if value.ndim else value
        for name, value in denoiser.last_inputs.items()
    }
    parted = layer_sqnr(model, runtime, inputs, options=taken)
    rows = tuple(replace(r, sqnr_db=parted.get(r.name)) for r in ran_rows(model, compiled))
    check_stop(should_stop)
    report(progress, 1, 2, "timing every operation of a step")
    shares = _shares(model, denoiser, taken, runtime)
    report(progress, 2, 2, "done")
    return rows, {
        "backend": runtime.name,
        "rest": "bfloat16" if compiled.bfloat16 else "float32",
        "seconds_runtime": denoiser.seconds,
        "seconds_compiling": denoiser.compile_seconds,
        "bytes": len(denoiser.model),
        "bytes_float": model.float_size_bytes,
        "integer_layers": sum(row.ran == "int8" for row in rows),
        "layers": [asdict(row) for row in rows],
        "work": shares,
        "notes": [*denoiser.notes, *_where(model, runtime)],
    }


def _where(model: QuantizedModel, runtime: Backend) -> list[str]:
    """What to know of seconds that were taken on two devices."""
    device = model.handle.device.type
    if device == "cpu":
        return []
    return [
        f"The float and the simulated model ran on {device}, {runtime.title} on the processor: "
        "to compare their seconds, load the model with --device cpu."
    ]


def _shares(
    model: QuantizedModel, denoiser: CompiledDenoiser, options: BackendOptions, runtime: Backend
) -> dict[str, float] | None:
    """Shares of one step's time by kind of work, from a run of its own that is watched."""
    inputs = denoiser.last_inputs
    shapes = {name: value.shape for name, value in inputs.items()}
    watched = runtime.compile(denoiser.model, shapes, replace(options, watch=True))
    for _ in range(3):  # the first runs make room
        watched.run(inputs)
    spent = work(model, watched)
    if spent is None or spent.total == 0:
        return None
    return {name: value / spent.total for name, value in asdict(spent).items()}
