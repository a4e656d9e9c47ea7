"""A quantized denoiser as an ONNX graph in the QDQ convention, each layer under its own name."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from analysis.errors import UserError
from analysis.export.qdq_modules import DOMAIN, MARKER, for_export
from analysis.extra import need
from analysis.models.handle import ModelHandle
from analysis.models.inputs import smallest_inputs

OPSET = 18
OUTPUT = "noise_pred"
LARGEST = 2**31 - 2**24  # bytes; one file of protocol buffers holds 2 GiB
_ADDED = ("text_embeds", "time_ids")


def qdq_graph(handle: ModelHandle) -> Any:
    """The denoiser of a quantized model as an `onnx.ModelProto`.

    Inputs are `sample` [N, C, H, W] of the model's own size, `timestep` [] float32 and what else
    the denoiser is told; N is free. The node that computes a layer, and the tensor that it gives,
    have the layer's name (the last one's tensor is `noise_pred`); products of attention are called
    `NAME#scores` and `NAME#values`.

    Raises:
        UserError: without the package onnx, for a model that is not float32 or too large for one
            file, or with an operator that ONNX does not have.
    """
    need("An ONNX file", "onnx")
    if handle.dtype != torch.float32:
        raise UserError(f"{handle.name} is in {handle.dtype}; only float32 models are exported.")
    denoiser = copy.deepcopy(handle.denoiser).cpu().eval()
    for_export(denoiser)
    _check_size(handle.name, denoiser)
    inputs = example_inputs(handle)
    return tidied(_exported(Flat(denoiser, list(inputs)), inputs))


def example_inputs(handle: ModelHandle) -> dict[str, Tensor]:
    """Inputs of the graph by name, for a batch of two."""
    found = smallest_inputs(handle.denoiser, batch=2)
    found |= found.pop("added_cond_kwargs", {})
    found["sample"] = torch.zeros(2, *handle.sample_shape)
    found["timestep"] = torch.tensor(1.0)
    return {name: value.cpu() for name, value in found.items()}


class Flat(nn.Module):
    """A denoiser whose arguments are tensors, in a fixed order."""

    def __init__(self, denoiser: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.denoiser, self.names = denoiser, names

    def forward(self, *tensors: Tensor) -> Tensor:
        kwargs: dict[str, Any] = dict(zip(self.names, tensors, strict=True))
        added = {name: kwargs.pop(name) for name in _ADDED if name in kwargs}
        if added:
            kwargs["added_cond_kwargs"] = added
        out: Tensor = self.denoiser(**kwargs, return_dict=False)[0]
        return out


def _check_size(name: str, denoiser: nn.Module) -> None:
    tensors = [*denoiser.parameters(), *denoiser.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > LARGEST:
        raise UserError(
            f"{name} takes {size / 2**30:.1f} GiB, and one ONNX file holds 2; quantize more of "
            "its weights."
        )


@torch.no_grad()
def _exported(flat: Flat, inputs: dict[str, Tensor]) -> Any:
    import onnx

    file = io.BytesIO()
    free: dict[str, dict[int, str]] = {
        name: {0: "batch"} for name, value in inputs.items() if value.ndim
    }
    if "encoder_hidden_states" in free:
        free["encoder_hidden_states"][1] = "tokens"
    with _quiet():
        torch.onnx.export(
            flat,
            tuple(inputs.values()),
            file,  # type: ignore[arg-type]
            dynamo=False,  # its nodes are traced through our symbolic functions
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=[OUTPUT],
            dynamic_axes=free | {OUTPUT: {0: "batch"}},
            custom_opsets={DOMAIN: 1},
            # What ONNX does not have stays in the graph, with the name of where it stands.
            operator_export_type=torch.onnx.OperatorExportTypes.ONNX_FALLTHROUGH,
        )
    model = onnx.load_from_string(file.getvalue())
    _check_operators(model)
    return model


def _check_operators(model: Any) -> None:
    for node in model.graph.node:
        if node.domain not in ("", DOMAIN):
            place = node.name.strip("/").removeprefix("denoiser/").rpartition("/")[0]
            where = place.replace("/", ".") or "the denoiser"
            raise UserError(
                f"{node.domain.rpartition('.')[2]}::{node.op_type} in {where} "
                f"cannot be exported: ONNX opset {OPSET} has no such operator; replace it by one "
                "that it has."
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own future and on every traced condition."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def tidied(model: Any) -> Any:
    """The graph without markers and copies; nodes and tensors of layers carry their names."""
    import onnx

    graph = model.graph
    nodes = _without_copies(graph.node)
    named = {n.input[0]: n.attribute[0].s.decode() for n in nodes if n.op_type == MARKER}
    _name_products([node for node in nodes if node.op_type != MARKER], named)
    new = dict(named)
    for node in nodes:
        if node.op_type == MARKER:
            is_output = node.output[0] == OUTPUT
            new[node.input[0]] = new[node.output[0]] = OUTPUT if is_output else named[node.input[0]]
    nodes = [node for node in nodes if node.op_type != MARKER]
    for node in nodes:
        _rename(node.input, new)
        _rename(node.output, new)
    del graph.node[:], graph.value_info[:], model.opset_import[:]
    graph.node.extend(nodes)
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    onnx.checker.check_model(model)
    return model


def _without_copies(nodes: Sequence[Any]) -> list[Any]:
    """The nodes without `Identity`, which the exporter puts where two layers share a number."""
    source: dict[str, str] = {}
    kept = []
    for node in nodes:
        _rename(node.input, source)
        if node.op_type == "Identity":
            source[node.output[0]] = node.input[0]
        else:
            kept.append(node)
    return kept


def _name_products(nodes: Sequence[Any], named: dict[str, str]) -> None:
    """Name the convolution or product behind each named tensor; two of a split layer."""
    makes = {out: node for node in nodes for out in node.output}
    for tensor, name in named.items():
        made = makes[tensor]
        if made.op_type in ("Conv", "MatMul"):
            made.name = name
            continue
        made.name = f"{name}/add"
        parts = [makes[i] for i in _summands(made, makes)]
        for part, suffix in zip(parts, ("", "/skip"), strict=False):
            part.name = name + suffix


def _summands(add: Any, makes: dict[str, Any]) -> list[str]:
    """Outputs of the products that an addition joins, in order; biases stand in between."""
    found = []
    for tensor in add.input:
        made = makes.get(tensor)
        if made is not None and made.op_type in ("Conv", "MatMul"):
            found.append(tensor)
        elif made is not None and made.op_type == "Add":
            found += _summands(made, makes)
    return found


def _rename(names: Any, new: dict[str, str]) -> None:
    for i, name in enumerate(names):
        names[i] = new.get(name, name)
