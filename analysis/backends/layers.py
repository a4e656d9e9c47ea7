"""Layer by layer: what ran in integers, and what the time of a step was spent on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from analysis.backends import Compiled, RuntimeNode
from analysis.export.qdq_graph import OUTPUT
from analysis.int8 import IntegerRow, integer_kernels
from analysis.quant.model import QuantizedModel

FUSED = "the runtime computes it inside a larger operation and does not tell how"
CHOSEN = "its grids fit, but the runtime chose a float kernel ({kernel})"
PRODUCTS = ("Convolution", "FullyConnected", "MatMul")
NORMALIZATION = ("MVN", "InstanceNormalization", "LayerNormalization", "GroupNormalization")
MOVING = (
    *("Reorder", "Transpose", "Reshape", "Concatenation", "Concat", "Split", "Slice", "Gather"),
    *("Convert", "Cast", "Interpolate", "Resize", "Pad", "Broadcast", "Expand"),
)


@dataclass(frozen=True)
class RanRow:
    """How a layer, or a product of attention, was executed.

    `ran` is int8, or the precision it was computed in; empty where the runtime does not tell.
    `expected` says whether its grids fit integer kernels, `why` what speaks against it. `sqnr_db`
    is of its output, simulation against runtime, where it was measured.
    """

    name: str
    ran: str
    expected: bool
    why: str
    sqnr_db: float | None = None


@dataclass(frozen=True)
class Work:
    """Seconds of one run by what they were spent on; they add up to `total`."""

    integer: float = 0.0  # layers and products of attention in integers
    floating: float = 0.0  # those that were not
    attention: float = 0.0  # whole attentions as one operation, which does not tell how
    normalization: float = 0.0
    elementwise: float = 0.0  # activation functions, sums, rounding to grids
    moving: float = 0.0  # copies, conversions, other layouts

    @property
    def total(self) -> float:
        return sum(getattr(self, field.name) for field in fields(self))


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
    attention = {row.name for row in integer_kernels(model) if "#" in row.name}
    spent = dict.fromkeys((field.name for field in fields(Work)), 0.0)
    for node in nodes:
        spent[_spent_on(node, attention)] += node.seconds or 0.0
    return Work(**spent)


def _spent_on(node: RuntimeNode, attention: set[str]) -> str:
    if node.kind in PRODUCTS:
        return "integer" if node.integer else "floating"
    if node.kind == "ScaledDotProductAttention" or _stands_for(node, attention):
        return "attention"
    if node.kind in NORMALIZATION:
        return "normalization"
    return "moving" if node.kind in MOVING else "elementwise"


def _nodes(model: QuantizedModel, compiled: Compiled) -> list[RuntimeNode] | None:
    """The runtime's nodes; what is called as the graph's output is the last layer."""
    last, nodes = model.handle.last_layer, compiled.nodes()
    if nodes is None:
        return None
    return [replace(n, names=tuple(last if x == OUTPUT else x for x in n.names)) for n in nodes]


def _ran(row: IntegerRow, nodes: Sequence[RuntimeNode]) -> RanRow:
    mine = [n for n in nodes if n.kind in PRODUCTS and _stands_for(n, {row.name})]
    if not mine:
        return RanRow(row.name, "", row.integer, row.why or FUSED)
    if all(node.integer for node in mine):
        return RanRow(row.name, "int8", row.integer, row.why)
    slow = next(node for node in mine if not node.integer)
    ran = "bf16" if "bf16" in (slow.precision, slow.kernel.lower()[-4:]) else "f32"
    return RanRow(row.name, ran, row.integer, row.why or CHOSEN.format(kernel=slow.kernel))


def _stands_for(node: RuntimeNode, names: set[str]) -> bool:
    return any(name.removesuffix("/skip") in names for name in node.names)
