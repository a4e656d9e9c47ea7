"""Where the simulated model and a runtime part, layer by layer."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from analysis.backends import Backend, BackendOptions
from analysis.export.qdq_graph import Flat, qdq_graph
from analysis.extra import need
from analysis.models.layers import select_layers
from analysis.quant.model import QuantizedModel
from analysis.quant.whatif import sqnr_db
from analysis.records import Array


def layer_sqnr(
    model: QuantizedModel,
    backend: Backend,
    inputs: Mapping[str, Array],
    layers: str | None = None,
    options: BackendOptions | None = None,
) -> dict[str, float]:
    """SQNR in dB of every layer's output: the simulated model against what the runtime computes.

    Both get the same x_t; what differs before a layer travels on into it, as it does in use.
    `inf` where not a bit differs. The runtime gives out every layer's tensor for this, so it can
    fuse less than it does when it samples.

    Args:
        inputs: by the names of the graph, the batch that both see.
        layers: glob over layer names, all if not given.

    Raises:
        UserError: when a package is not installed, or the pattern matches no layer.
    """
    need("Comparing layers", *backend.packages)
    chosen = select_layers([r for r in model.handle.layers if "#" not in r.name], layers)
    last = model.handle.last_layer  # its output is the graph's own, which comes first
    names = [last, *(layer.name for layer in chosen if layer.name != last)]
    simulated = simulated_outputs(model, names, inputs)
    content = _with_outputs(model, names[1:])
    shapes = {name: value.shape for name, value in inputs.items()}
    settings = replace(options or BackendOptions(), watch=False)
    real = backend.compile(content, shapes, settings).run(inputs)
    found = {name: _sqnr(simulated[name], out) for name, out in zip(names, real, strict=True)}
    return {layer.name: found[layer.name] for layer in chosen}


@torch.no_grad()
def simulated_outputs(
    model: QuantizedModel, names: Sequence[str], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """What the named layers of the simulated model give for a batch."""
    shared = [*model.handle.denoiser.parameters(), *model.handle.denoiser.buffers()]
    denoiser = copy.deepcopy(model.handle.denoiser, {id(tensor): tensor for tensor in shared})
    kept = {name: _Kept(denoiser.get_submodule(name)) for name in names}
    by_layer = {one.layer: one for one in kept.values()}
    for parent in list(denoiser.modules()):
        for key, child in list(parent._modules.items()):
            if child in by_layer and not isinstance(parent, _Kept):
                parent._modules[key] = by_layer[child]
    device = model.handle.device
    Flat(denoiser, list(inputs))(*(torch.from_numpy(x).to(device) for x in inputs.values()))
    return {name: one.out.cpu().numpy() for name, one in kept.items()}


class _Kept(nn.Module):
    """A layer whose last output can be asked for."""

    out: Tensor

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    @property
    def weight(self) -> Tensor:
        """Some blocks look up the dtype of their layers' weights."""
        assert isinstance(self.layer.weight, Tensor)
        return self.layer.weight

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        self.out = self.layer(x, *more)
        return self.out


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
