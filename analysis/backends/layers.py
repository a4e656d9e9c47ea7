"""Layer by layer: what ran in integers, and where simulation and runtime part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.backends import Backend, BackendOptions, Compiled, RuntimeNode
from analysis.export.qdq_graph import OUTPUT, qdq_graph
from analysis.extra import need
from analysis.int8 import IntegerRow, integer_kernels
from analysis.models.layers import select_layers
from analysis.quant.model import QuantizedModel
from analysis.quant.whatif import sqnr_db
from analysis.records import Array

FUSED = "the runtime computes it inside a larger operation and does not tell how"
CHOSEN = "its grids fit, but the runtime chose a float kernel ({kernel})"


@dataclass(frozen=True)
class RanRow:
    """How a layer, or a product of attention, was executed.

    `ran` is int8, or the precision it was computed in; empty where the runtime does not tell.
    `expected` says whether its grids fit integer kernels, `why` what speaks against it.
    """

    name: str
    ran: str
    expected: bool
    why: str


@dataclass(frozen=True)
class Work:
    """Seconds of one run by what they were spent on; they add up to `total`."""

    integer: float
    floating: float  # layers and products that did not run in integers
    rest: float  # normalization, activation functions, fused attention, rounding, copies

    @property
    def total(self) -> float:
        return self.integer + self.floating + self.rest


def ran_rows(model: QuantizedModel, compiled: Compiled) -> list[RanRow]:
    """What the runtime says of every layer, in execution order."""
    nodes = _nodes(model, compiled)
    if nodes is None:
        return [RanRow(r.name, "", r.integer, r.why) for r in integer_kernels(model)]
    return [_ran(row, nodes) for row in integer_kernels(model)]


def work(model: QuantizedModel, compiled: Compiled) -> Work | None:
    """Where the seconds of the last run went; `None` where nobody watched."""
    nodes = _nodes(model, compiled)
    if nodes is None or all(node.seconds is None for node in nodes):
        return None
    names = {row.name for row in integer_kernels(model)}
    spent = [0.0, 0.0, 0.0]
    for node in nodes:
        product = _stands_for(node, names) and _multiplies(node)
        which = 2 if not product else 0 if node.integer else 1
        spent[which] += node.seconds or 0.0
    return Work(*spent)


def _nodes(model: QuantizedModel, compiled: Compiled) -> list[RuntimeNode] | None:
    """The runtime's nodes; what is called as the graph's output is the last layer."""
    last, nodes = model.handle.last_layer, compiled.nodes()
    if nodes is None:
        return None
    return [replace(n, names=tuple(last if x == OUTPUT else x for x in n.names)) for n in nodes]


def _ran(row: IntegerRow, nodes: Sequence[RuntimeNode]) -> RanRow:
    mine = [n for n in nodes if _stands_for(n, {row.name}) and _multiplies(n)]
    if not mine:
        return RanRow(row.name, "", row.integer, row.why or FUSED)
    if all(node.integer for node in mine):
        return RanRow(row.name, "int8", row.integer, row.why)
    slow = next(node for node in mine if not node.integer)
    ran = "bf16" if "bf16" in (slow.precision, slow.kernel.lower()[-4:]) else "f32"
    return RanRow(row.name, ran, row.integer, row.why or CHOSEN.format(kernel=slow.kernel))


def _stands_for(node: RuntimeNode, names: set[str]) -> bool:
    return any(name.removesuffix("/skip") in names for name in node.names)


def _multiplies(node: RuntimeNode) -> bool:
    """Attention in one operation is none of these: it does not tell how it multiplies."""
    return node.kind in ("Convolution", "FullyConnected", "MatMul")


def layer_sqnr(
    model: QuantizedModel,
    backend: Backend,
    inputs: dict[str, Array],
    layers: str | None = None,
    options: BackendOptions | None = None,
) -> dict[str, float]:
    """SQNR in dB of every layer's output: simulation against what the runtime computes.

    Both get the same x_t; what differs before a layer travels on into it, as it does in use. The
    simulation is the exported graph in ONNX Runtime, whose operators round as the simulated model
    does (tested against it). `inf` where not a bit differs.

    Args:
        inputs: by the names of the graph, the batch that both see.
        layers: glob over layer names, all if not given.

    Raises:
        UserError: when a package is not installed, or the pattern matches no layer.
    """
    need("Comparing layers", "onnx", "onnxruntime", *backend.packages)
    from analysis.backends.onnxruntime import compile_onnxruntime

    chosen = select_layers([r for r in model.handle.layers if "#" not in r.name], layers)
    last = model.handle.last_layer  # its output is the graph's own, which comes first
    names = [layer.name for layer in chosen if layer.name != last]
    content = _with_outputs(model, names)
    shapes = {name: value.shape for name, value in inputs.items()}
    options = replace(options or BackendOptions(), watch=False)
    true = compile_onnxruntime(content, shapes, options).run(inputs)
    real = backend.compile(content, shapes, options).run(inputs)
    pairs = zip([last, *names], true, real, strict=True)
    found = {name: _sqnr(a, b) for name, a, b in pairs}
    return {layer.name: found[layer.name] for layer in chosen}


def _with_outputs(model: QuantizedModel, names: Sequence[str]) -> bytes:
    """The graph with the outputs of these layers behind its own."""
    import onnx

    graph = qdq_graph(model.handle)
    for name in names:
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        graph.graph.output.append(info)
    content: bytes = graph.SerializeToString()
    return content


def _sqnr(true: Array, real: Array) -> float:
    signal = float(np.square(true, dtype=np.float64).sum())
    noise = float(np.square(true.astype(np.float64) - real).sum())
    return float(sqnr_db(signal, noise))
