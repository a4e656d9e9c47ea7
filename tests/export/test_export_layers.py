"""Every layer of exported models, given what the simulated layer is given; and their samples.

Models are random in shape, weights and plan, and the bundled one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

import analysis
from analysis.backends.denoiser import CompiledDenoiser, compiled_handle
from analysis.export.qdq_graph import OUTPUT, qdq_graph
from analysis.quant.assemble import quant_layers

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = ["random 0", "random 1", "random 2"]
STEPS, SAMPLES = 2, 2
# Layers with the same input and grid, such as to_q and to_k, can share these; one has the name.
SHARED = ("Clip", "QuantizeLinear", "DequantizeLinear", "Constant")


@dataclass
class Case:
    """A quantized model, its graph, and what its layers are given and give."""

    model: Any
    floating: Any
    graph: Any
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]]


def random_model(seed: int):
    """A small UNet, of random widths, depth, attention and size."""
    from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel

    draw = np.random.default_rng(seed)
    torch.manual_seed(seed)
    levels = int(draw.integers(2, 4))
    downs = ["AttnDownBlock2D" if draw.random() < 0.5 else "DownBlock2D" for _ in range(levels)]
    channels = int(draw.integers(1, 4))
    unet = UNet2DModel(
        sample_size=int(draw.choice([8, 16])),
        in_channels=channels,
        out_channels=channels,
        layers_per_block=int(draw.integers(1, 3)),
        block_out_channels=tuple(int(4 * n) for n in draw.integers(1, 5, levels)),
        down_block_types=tuple(downs),
        up_block_types=tuple(name.replace("Down", "Up") for name in reversed(downs)),
        norm_num_groups=4,
        attention_head_dim=4,
    )
    return analysis.from_pipeline(DDPMPipeline(unet.eval(), DDIMScheduler()), f"random {seed}")


def random_plan(seed: int) -> dict[str, Any]:
    """Bits and symmetry by chance; shortcuts are split."""
    draw = np.random.default_rng(100 + seed)
    return {
        "plan": f"W{draw.integers(3, 9)}A{draw.integers(5, 9)}",
        "weight_symmetric": bool(draw.random() < 0.5),
        "act_symmetric": bool(draw.random() < 0.5),
        "softmax_bits": int(draw.choice([6, 8, 16])),
        "input_bits": int(draw.choice([8, 16])),
        "split": True,
    }


@pytest.fixture(scope="module")
def case():
    """A case by its name; each made once."""
    made: dict[str, Case] = {}

    def make(name: str) -> Case:
        if name not in made:
            if name == "bundled":
                from workbench.captures import bundled_capture

                floating, capture = analysis.load_model("fashion"), bundled_capture().capture
                options = {"plan": "W8A8", "weight_symmetric": True, "input_bits": 16}
                options["split"] = True
            else:
                seed = int(name.split()[1])
                floating, options = random_model(seed), random_plan(seed)
                capture = analysis.capture(floating, steps=2, samples=2)
            model = analysis.quantize(floating, calibration=capture, **options)
            made[name] = Case(model, floating, qdq_graph(model.handle), seen_by(model))
        return made[name]

    return make


def seen_by(model) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Input and output of every layer of the simulated model."""
    seen, hooks = {}, []
    for name, layer in quant_layers(model.handle.denoiser).items():

        def keep(module, args, out, name=name):
            seen[name] = (args[0].clone(), out.clone())

        hooks.append(layer.register_forward_hook(keep))
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        model.handle.denoiser(torch.randn(2, *model.handle.sample_shape, generator=draw), 40)
    for hook in hooks:
        hook.remove()
    return seen


def piece(graph, name: str, last: str):
    """The part of a graph that computes one layer, as a model of its own, and its input."""
    own = {name, f"{name}/skip", f"{name}/add"}
    nodes = [n for n in graph.graph.node if n.name in own or place(n).startswith(f"{name}.")]
    numbers = {t.name: t for t in graph.graph.initializer}
    makes = {out: node for node in graph.graph.node for out in node.output}
    while True:
        made = {out for node in nodes for out in node.output}
        used = dict.fromkeys(i for node in nodes for i in node.input if i)
        entries = [i for i in used if i not in made and i not in numbers]
        shared = [makes[i] for i in entries if i in makes and makes[i].op_type in SHARED]
        if not shared:
            break
        nodes[:0] = shared
    (entry,) = entries
    output = OUTPUT if name == last else name
    floats = onnx.TensorProto.FLOAT
    values = [onnx.helper.make_tensor_value_info(t, floats, None) for t in (entry, output)]
    own_numbers = [numbers[i] for i in used if i in numbers]
    small = onnx.helper.make_graph(nodes, "layer", values[:1], values[1:], own_numbers)
    opsets = list(graph.opset_import)
    return onnx.helper.make_model(small, opset_imports=opsets, ir_version=graph.ir_version), entry


def place(node) -> str:
    """Where in the denoiser a node stands, attention's processor left out."""
    dotted = node.name.replace("/", ".").removeprefix(".denoiser.")
    return dotted.replace(".processor.", ".")


def run(model, inputs):
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return onnxruntime.InferenceSession(model.SerializeToString(), settings).run(None, inputs)[0]


@pytest.mark.parametrize("name", [*RANDOM, "bundled"])
def test_every_layer_computes_what_the_simulated_layer_does(case, name):
    here = case(name)
    layers = quant_layers(here.model.handle.denoiser)
    assert here.seen.keys() == layers.keys()
    for key, (x, true) in here.seen.items():
        part, entry = piece(here.graph, key, here.model.handle.last_layer)
        found = run(part, {entry: x.numpy()})
        # A value on a tie goes to the other side in one of the two: one step, in a few outputs.
        close = 1e-4 * float(true.abs().max())
        assert (np.abs(found - true.numpy()) > close).mean() < 0.05, key
        with torch.no_grad():
            on_grid = layers[key].input_quantizer(x)  # nothing there is on a tie
            true = layers[key](on_grid)
        found = run(part, {entry: on_grid.numpy()})
        np.testing.assert_allclose(found, true.numpy(), rtol=0, atol=close, err_msg=key)


@pytest.mark.parametrize("name", RANDOM)
def test_split_shortcuts_are_two_products_in_the_file(case, name):
    here = case(name)
    names = {node.name for node in here.graph.graph.node}
    split = [n for n, grids in here.model.qparams.items() if grids.weight and grids.weight.seam]
    assert split == [shortcut.layer for shortcut in here.floating.shortcuts]
    assert all({layer, f"{layer}/skip", f"{layer}/add"} <= names for layer in split)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_pictures_of_the_bundled_model_are_those_of_the_simulation(case, backend):
    pytest.importorskip(backend)
    from analysis.backends import BACKENDS, BackendOptions
    from analysis.models.trajectory import sample, sampling_spec

    here = case("bundled")
    handle = compiled_handle(here.model, BACKENDS.get(backend), BackendOptions(threads=1))
    assert isinstance(handle.denoiser, CompiledDenoiser)
    spec = sampling_spec(here.floating, STEPS, SAMPLES, 0)
    true, real = (sample(each, spec).numpy() for each in (here.model.handle, handle))
    mean_square = float(np.square(true.astype(np.float64) - real).mean())
    assert 10 * np.log10(1 / mean_square) > 35  # dB; pictures are in [0, 1]
