"""The exported file against the simulated model: its integers, and what they compute."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from analysis.errors import UserError
from analysis.quant.assemble import quant_layers

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
PLANS = ["int8", "narrow", "weights only"]


def session(model) -> object:
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    content = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(content, settings)


def error_db(true, other) -> float:
    """SQNR of one array against another, worked out by hand."""
    noise = np.square(np.float64(true) - other).sum()
    return 10 * np.log10(np.square(np.float64(true)).sum() / max(noise, 1e-300))


def numbers(model) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("plan", PLANS)
def test_it_computes_what_the_simulated_model_does(quantized, graph, plan):
    model = quantized(plan)
    x = torch.randn(3, *model.handle.sample_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        true = model.handle.denoiser(x, 40).sample.numpy()
    inputs = {"sample": x.numpy(), "timestep": np.array(40, np.float32)}
    (out,) = session(graph(plan)).run(None, inputs)
    # Ties are rounded apart where x / s and x * (1 / s) differ; each is worth one step.
    assert error_db(true, out) > 30


@pytest.mark.parametrize("plan", PLANS)
def test_weights_are_the_models_own_integers(quantized, graph, plan):
    model, made = quantized(plan), graph(plan)
    values = numbers(made)
    nodes = {node.name: node for node in made.graph.node}
    makes = {out: node for node in made.graph.node for out in node.output}
    for name, layer in quant_layers(model.handle.denoiser).items():
        parts = [nodes[key] for key in (name, f"{name}/skip") if key in nodes]
        if layer.weight_levels() is None:
            continue
        slices = []
        for part in parts:
            dequantize = makes[part.input[1]]
            assert dequantize.op_type == "DequantizeLinear"
            levels, scale, *zero = (values[i] for i in dequantize.input)
            assert levels.dtype in (np.int8, np.uint8)
            if part.op_type == "MatMul":
                levels = levels.T
            shape = (-1, *[1] * (levels.ndim - 1))
            moved = levels.astype(np.int32) - (
                zero[0].astype(np.int32).reshape(shape) if zero else 0
            )
            slices.append(moved.astype(np.float32) * scale.reshape(shape))
        whole = np.concatenate(slices, axis=1)
        np.testing.assert_array_equal(whole, layer.weight.numpy(), err_msg=name)


def test_both_halves_of_a_shortcut_have_grids_of_their_own(quantized, graph):
    model, made = quantized("int8"), graph("int8")
    values = numbers(made)
    nodes = {node.name: node for node in made.graph.node}
    makes = {out: node for node in made.graph.node for out in node.output}
    assert model.handle.shortcuts
    for shortcut in model.handle.shortcuts:
        grid = model.qparams[shortcut.layer].act
        for i, key in enumerate((shortcut.layer, f"{shortcut.layer}/skip")):
            _, scale, zero_point = makes[nodes[key].input[0]].input
            assert values[scale] == np.float32(grid.scale[i])
            assert values[zero_point] == grid.zero_point[i]


def test_symmetric_weights_need_no_zero_point(graph):
    kinds = {t.name: t.data_type for t in graph("int8").graph.initializer}
    for node in graph("int8").graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] in kinds:
            assert kinds[node.input[0]] == onnx.TensorProto.INT8
            assert len(node.input) == 2


def test_operands_of_attention_are_quantized(graph):
    nodes = {node.name: node for node in graph("int8").graph.node}
    makes = {out: node for node in graph("int8").graph.node for out in node.output}

    def behind(tensor: str) -> str:
        while makes[tensor].op_type in ("Transpose", "Reshape"):
            tensor = makes[tensor].input[0]
        return makes[tensor].op_type

    products = [name for name in nodes if name.endswith(("#scores", "#values"))]
    assert len(products) >= 2
    for name in products:
        assert {behind(tensor) for tensor in nodes[name].input} == {"DequantizeLinear"}


@pytest.mark.parametrize("bits", [2, 5, 8])
@pytest.mark.parametrize("seam", [None, 3])
def test_one_layer_is_exact_up_to_ties(bits, seam):
    from analysis.export import qdq_graph
    from analysis.export.qdq_modules import Layer
    from analysis.quant.modules import QuantConv2d
    from analysis.quant.qparams import QParams

    torch.manual_seed(bits)
    conv = torch.nn.Conv2d(8, 4, 3, stride=2, padding=1)
    halves = 1 if seam is None else 2
    scale = np.float32([0.11, 0.031][:halves]) if seam else np.float32(0.11)
    zero = np.int32([2, 1][:halves]) if seam else np.int32(2)
    spread = np.float32(0.1) + np.zeros((4, 2) if seam else 4, np.float32)
    weight = QParams(bits, spread, np.full(spread.shape, 2 ** (bits - 1), np.int32), seam)
    layer = QuantConv2d.from_float(conv, weight, QParams(bits, scale, zero, seam))
    x = torch.randn(2, 8, 6, 6)
    flat = torch.nn.Sequential(Layer("layer", layer))
    made = qdq_graph.tidied(qdq_graph._exported(flat, {"x": x}))
    (out,) = session(made).run(None, {"x": x.numpy()})
    with torch.no_grad():
        true = layer(x).numpy()
    np.testing.assert_allclose(out, true, rtol=1e-5, atol=1e-5)


def test_a_prompt_is_an_input(sd):
    import analysis
    from analysis.export.qdq_graph import qdq_graph

    model = analysis.quantize(sd, plan="W8A32", weight_symmetric=True)
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(3, *sd.sample_shape, generator=draw)
    text = torch.randn(3, 7, 16, generator=draw)
    with torch.no_grad():
        true = model.handle.denoiser(x, 9, encoder_hidden_states=text).sample.numpy()
    inputs = {
        "sample": x.numpy(),
        "timestep": np.array(9, np.float32),
        "encoder_hidden_states": text.numpy(),
    }
    (out,) = session(qdq_graph(model.handle)).run(None, inputs)
    assert error_db(true, out) > 80


def test_an_unknown_operator_is_named_with_its_layer(new_pipeline, capfd):
    import analysis
    from analysis.export.qdq_graph import qdq_graph

    class Bessel(torch.nn.Module):
        def forward(self, x):
            return torch.special.i1e(x)

    pipeline = new_pipeline("ddpm")
    pipeline.unet.mid_block.resnets[0].nonlinearity = Bessel()
    with pytest.raises(UserError) as error:
        qdq_graph(analysis.from_pipeline(pipeline, "odd"))
    assert str(error.value) == (
        "aten::special_i1e in mid_block.resnets.0.nonlinearity cannot be exported: ONNX opset 18 "
        "has no such operator; replace it by one that it has."
    )
    assert capfd.readouterr().out == ""


def test_half_precision_is_refused(new_pipeline):
    import analysis
    from analysis.export.qdq_graph import qdq_graph

    pipeline = new_pipeline("ddpm")
    pipeline.unet.bfloat16()
    with pytest.raises(UserError, match=r"in torch\.bfloat16; only float32 models are exported"):
        qdq_graph(analysis.from_pipeline(pipeline, "half"))


def test_a_model_too_large_for_one_file_is_refused(ddpm, monkeypatch):
    from analysis.export import qdq_graph

    monkeypatch.setattr(qdq_graph, "LARGEST", 1000)
    with pytest.raises(UserError, match="one ONNX file holds 2; quantize more of its weights"):
        qdq_graph.qdq_graph(ddpm)


def test_the_file_says_what_can_run_in_integers(quantized, tmp_path):
    from analysis.export import EXPORTS, ExportOptions

    model, layers = EXPORTS.get("onnx")(quantized("int8"), tmp_path, ExportOptions())
    facts = {p.key: p.value for p in onnx.load(model).metadata_props}
    assert facts["model_digest"] == quantized("int8").model_digest
    rows = {row["name"]: row for row in json.loads(layers.read_text())}
    assert [name for name, row in rows.items() if not row["integer"]] == ["conv_in"]
    assert rows["conv_in"]["why"] == "its input has 16 bits, and integer kernels take 8"
