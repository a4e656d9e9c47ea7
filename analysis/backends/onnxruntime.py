"""ONNX Runtime on a CPU: the graph as it is written, operator by operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.backends import BACKENDS, Backend, BackendOptions, Shapes
from analysis.int8 import cpu_note
from analysis.records import Array

ONLY_FLOAT32 = "ONNX Runtime has no bfloat16 on a CPU; what is float runs in float32."


class OnnxRuntimeModel:
    """A session; ONNX Runtime does not tell which layers it computed in integers."""

    def __init__(self, session: Any, notes: tuple[str, ...]) -> None:
        self._session, self.notes = session, notes

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        results: list[Array] = self._session.run(None, dict(inputs))
        return results

    def nodes(self) -> None:
        return None


def compile_onnxruntime(model: bytes, shapes: Shapes, options: BackendOptions) -> OnnxRuntimeModel:
    """A session for inputs of any batch size."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    # What it does beyond this replaces a float product by one with inputs that it rounds itself.
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.log_severity_level = 3
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    notes = (cpu_note(), ONLY_FLOAT32 if options.bfloat16 else None)
    return OnnxRuntimeModel(session, tuple(note for note in notes if note))


BACKENDS.register("onnxruntime")(
    Backend("onnxruntime", "ONNX Runtime", ("onnx", "onnxruntime"), compile_onnxruntime)
)
