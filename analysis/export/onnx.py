"""An ONNX file with the model's own integers, for runtimes that have integer kernels."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from analysis.atomic import write_whole
from analysis.export import EXPORTS, ExportOptions
from analysis.int8 import integer_kernels
from analysis.quant.model import QuantizedModel

MODEL = "model.onnx"
LAYERS = "layers.json"


@EXPORTS.register("onnx")
def export_onnx(model: QuantizedModel, folder: Path, options: ExportOptions) -> list[Path]:
    """Write `model.onnx` in the QDQ convention, and `layers.json`: what can run in integers.

    Scales, zero points and integers are the quantized model's own. What ONNX has no integers for
    stands in the graph as it is simulated: grids above 8 bits are rounded in float. Weights of
    fewer than 8 bits take 8 in the file: as INT4 OpenVINO would multiply them in float.

    Raises:
        UserError: without the package onnx, for a model that is not float32 or too large for one
            file, or with an operator that ONNX does not have.
    """
    paths = [folder / MODEL, folder / LAYERS]
    write_whole(paths[0], onnx_bytes(model))
    rows = [asdict(row) for row in integer_kernels(model)]
    write_whole(paths[1], json.dumps(rows, indent=1).encode())
    return paths


def onnx_bytes(model: QuantizedModel) -> bytes:
    """The content of `model.onnx`; errors as for `export_onnx`."""
    from analysis.export.qdq_graph import qdq_graph

    graph = qdq_graph(model.handle)
    graph.producer_name = "diffusion-quantization-workbench"
    facts = {
        "model": model.handle.name,
        "model_digest": model.model_digest,
        "method": model.method,
        "plan": str(model.plan),
    }
    for key, value in facts.items():
        graph.metadata_props.add(key=key, value=value)
    content: bytes = graph.SerializeToString()
    return content
