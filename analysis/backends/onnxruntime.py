"""ONNX Runtime on a CPU: the graph as it is written, with integer products where it has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analysis.backends import BACKENDS, Backend, BackendOptions, RuntimeNode, Shapes
from analysis.int8 import cpu_note
from analysis.records import Array

ONLY_FLOAT32 = "ONNX Runtime has no bfloat16 on a CPU; what is float runs in float32."
CONVOLUTIONS = {"Conv": "f32", "FusedConv": "f32", "ConvInteger": "u8", "QLinearConv": "u8"}
PRODUCTS = {"MatMul": "f32", "FusedMatMul": "f32", "Gemm": "f32", "FusedGemm": "f32"}
PRODUCTS |= {"MatMulNBits": "f32", "MatMulIntegerToFloat": "u8", "QLinearMatMul": "u8"}
PRODUCTS |= {"MatMulInteger": "u8", "QGemm": "u8"}
FUSED = "/MatMulAddFusion"  # behind the name of a product whose bias it took in
TIMED = "_kernel_time"


class OnnxRuntimeModel:
    """A session, and the nodes of the graph that ONNX Runtime made of the file."""

    bfloat16 = False

    def __init__(self, session: Any, graph: list[RuntimeNode], options: BackendOptions) -> None:
        self._session, self._graph, self._watched = session, graph, options.watch
        notes = (cpu_note(), ONLY_FLOAT32 if options.bfloat16 else None)
        self.notes = tuple(note for note in notes if note)

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        results: list[Array] = self._session.run(None, dict(inputs))
        return results

    def nodes(self) -> list[RuntimeNode]:
        """What the session executes; asking a watched one ends the watch."""
        if self._watched:
            self._watched = False
            self._graph = _with_seconds(self._graph, Path(self._session.end_profiling()))
        return self._graph


def compile_onnxruntime(model: bytes, shapes: Shapes, options: BackendOptions) -> OnnxRuntimeModel:
    """A session for inputs of any batch size."""
    import onnx
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    # One level more would only lay out memory for this CPU.
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    settings.log_severity_level = 3
    # On its own it would round the inputs of layers that the plan leaves float; 1 is float32.
    settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    with TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        settings.optimized_model_filepath = str(optimized)
        if options.watch:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(Path(folder).parent / f"{Path(folder).name}-watch")
        session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        graph = onnx.load(optimized).graph
    return OnnxRuntimeModel(session, [_node(node) for node in graph.node], options)


def _node(node: Any) -> RuntimeNode:
    """Names are kept as they are executed, with the name of the file's node behind them."""
    operator = node.op_type
    kind = "Convolution" if operator in CONVOLUTIONS else "MatMul"
    precision = (CONVOLUTIONS | PRODUCTS).get(operator)
    names = tuple(dict.fromkeys((node.name, node.name.removesuffix(FUSED))))
    return RuntimeNode(names, kind if precision else operator, precision or "f32", operator)


def _with_seconds(graph: list[RuntimeNode], file: Path) -> list[RuntimeNode]:
    """The nodes with the time of their last run, read off a profile, which is then removed."""
    events = json.loads(file.read_text())
    file.unlink()
    spent = {e["name"]: e["dur"] / 1e6 for e in events if e.get("name", "").endswith(TIMED)}
    return [replace(node, seconds=spent.get(f"{node.names[0]}{TIMED}", 0.0)) for node in graph]


BACKENDS.register("onnxruntime")(
    Backend("onnxruntime", "ONNX Runtime", ("onnx", "onnxruntime"), compile_onnxruntime)
)
