"""OpenVINO on a CPU: integer kernels for every layer whose grids they take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.backends import BACKENDS, Backend, BackendOptions, RuntimeNode, Shapes
from analysis.int8 import cpu_note
from analysis.records import Array

DEVICE = "CPU"
NO_BFLOAT16 = "This CPU has no bfloat16; what does not run in integers runs in float32."
BFLOAT16_FAILED = "OpenVINO could not compile this model with bfloat16; it runs in float32."


class OpenVinoModel:
    """A compiled model with what OpenVINO tells about it."""

    def __init__(self, compiled: Any, notes: tuple[str, ...], bfloat16: bool) -> None:
        self._compiled, self.notes, self.bfloat16 = compiled, notes, bfloat16
        self._request = compiled.create_infer_request()

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        results = self._request.infer(dict(inputs))
        return [results[i] for i in range(len(self._compiled.outputs))]

    def nodes(self) -> list[RuntimeNode]:
        """Read off the runtime graph; the seconds are those of the last run."""
        return [_node(op.get_rt_info()) for op in self._compiled.get_runtime_model().get_ops()]


def compile_openvino(model: bytes, shapes: Shapes, options: BackendOptions) -> OpenVinoModel:
    """Compile for fixed shapes, with bfloat16 where it is wanted, there, and works."""
    import openvino

    return compile_graph(openvino.Core().read_model(model), shapes, options)


def compile_graph(graph: Any, shapes: Shapes, options: BackendOptions) -> OpenVinoModel:
    """The same for an `openvino.Model`, which takes these shapes in place."""
    import openvino

    core = openvino.Core()
    graph.reshape({name: list(shape) for name, shape in shapes.items()})
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        # On its own it would quantize the inputs of layers that the plan leaves float.
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
        "PERF_COUNT": options.watch,
    }
    if options.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    notes = [note for note in (cpu_note(),) if note]
    brief = _with_bfloat16(core, graph, settings) if options.bfloat16 else None
    if options.bfloat16 and brief is None:
        notes.append(BFLOAT16_FAILED if _has_bfloat16(core) else NO_BFLOAT16)
    compiled = brief or core.compile_model(graph, DEVICE, settings)
    return OpenVinoModel(compiled, tuple(notes), brief is not None)


def _has_bfloat16(core: Any) -> bool:
    return "BF16" in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def _with_bfloat16(core: Any, graph: Any, settings: Mapping[str, Any]) -> Any:
    """The compiled model, or `None` where the CPU or OpenVINO cannot."""
    if not _has_bfloat16(core):
        return None
    try:
        return core.compile_model(graph, DEVICE, {**settings, "INFERENCE_PRECISION_HINT": "bf16"})
    except RuntimeError:
        return None


def _node(info: Any) -> RuntimeNode:
    def text(key: str) -> str:
        return str(info[key].astype(str)) if key in info else ""

    spent = text("execTimeMcs")
    return RuntimeNode(
        names=tuple(text("originalLayersNames").split(",")),
        kind=text("layerType"),
        precision=text("runtimePrecision"),
        kernel=text("primitiveType"),
        seconds=int(spent) / 1e6 if spent.isdigit() else None,
    )


BACKENDS.register("openvino")(
    Backend("openvino", "OpenVINO", ("onnx", "openvino"), compile_openvino, bfloat16=True)
)
