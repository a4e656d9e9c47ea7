"""The ways to compute one denoiser call on a CPU, in float and in integers."""

from __future__ import annotations

from typing import Any

NNCF = "3.4.0"
NNCF_MISSING = (
    f"nncf is not installed; pip install nncf=={NNCF}, as benchmarks/peers/requirements has it"
)
STEPS, SAMPLES = 5, 4  # of the run that everything is calibrated on


def ways(model: Any, batch: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Denoisers by the name of the way, and the ways that there are not, with the reason."""
    import torch

    import analysis
    from analysis.int8 import PLAN, int8_options

    capture = analysis.capture(model, steps=STEPS, samples=SAMPLES)
    floating = analysis.quantize(model, plan="W32A32")
    quantized = analysis.quantize(model, plan=PLAN, calibration=capture, **int8_options())
    made = {
        "eager": model.denoiser,
        "compile": torch.compile(model.denoiser),
        "simulated_int8": quantized.handle.denoiser,
        **_runtimes(floating, "float"),
        **_runtimes(quantized, "int8"),
    }
    peers, failed = nncf_ways(model, floating, batch)
    return made | peers, failed


def _runtimes(model: Any, name: str) -> dict[str, Any]:
    """A model in ONNX Runtime and in OpenVINO, there also with bfloat16 for what is float."""
    from analysis.backends import BACKENDS, BackendOptions
    from analysis.backends.denoiser import compiled_handle

    def denoiser(backend: str, bfloat16: bool) -> Any:
        options = BackendOptions(bfloat16=bfloat16)
        return compiled_handle(model, BACKENDS.get(backend), options).denoiser

    return {
        f"onnxruntime_{name}": denoiser("onnxruntime", False),
        f"openvino_{name}": denoiser("openvino", False),
        f"openvino_{name}_bf16": denoiser("openvino", True),
    }


def nncf_ways(model: Any, floating: Any, batch: int) -> tuple[dict[str, Any], dict[str, str]]:
    """What NNCF makes of the float graph, calibrated on x_t of the float model's own run."""
    from analysis.extra import missing

    if missing("nncf"):
        return {}, {"nncf_int8": NNCF_MISSING}
    import nncf
    import openvino

    from analysis.export.onnx import onnx_bytes

    nncf.set_log_level(40)  # errors
    graph = openvino.Core().read_model(onnx_bytes(floating))
    items = _run(model)
    try:
        made = nncf.quantize(graph, nncf.Dataset(items), subset_size=len(items))
    except Exception as error:  # its own mistakes are no reason to stop
        return {}, {"nncf_int8": f"{type(error).__name__}: {str(error)[:120]}"}
    return {
        f"nncf_int8{'_bf16' if bfloat16 else ''}": _openvino(model, made, bfloat16)
        for bfloat16 in (False, True)
    }, {}


def _run(model: Any) -> list[dict[str, Any]]:
    """x_t and t of a run of the float model, as the graph is given them."""
    import numpy as np

    from analysis.models.trajectory import sampling_spec, trajectory

    spec = sampling_spec(model, STEPS, SAMPLES, 0)
    return [
        {"sample": step.x_t.numpy(), "timestep": np.array(step.timestep, np.float32)}
        for step in trajectory(model, spec, 0, SAMPLES)
    ]


def _openvino(model: Any, graph: Any, bfloat16: bool) -> Any:
    """A denoiser that computes an OpenVINO graph, compiled as this project's own are."""
    from analysis.backends import BackendOptions
    from analysis.backends.denoiser import CompiledDenoiser
    from analysis.backends.openvino import compile_graph

    options = BackendOptions(bfloat16=bfloat16)

    def build(shapes: Any) -> Any:
        compiled = compile_graph(graph.clone(), shapes, options)
        if bfloat16 and not compiled.bfloat16:
            raise RuntimeError(compiled.notes[-1])
        return compiled

    return CompiledDenoiser(model.denoiser.config, b"", build)
