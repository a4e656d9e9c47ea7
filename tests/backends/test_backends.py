"""Exported models in runtimes: what they compute, and what they say of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.backends import BACKENDS, BackendOptions, RuntimeNode
from analysis.errors import Cancelled, UserError
from analysis.int8 import cpu_note, int8_options

for package in ("onnx", "onnxruntime", "openvino"):
    pytest.importorskip(package)
OPTIONS = BackendOptions(threads=1)


@pytest.fixture(scope="module")
def model(ddpm, ddpm_capture):
    import analysis

    return analysis.quantize(
        ddpm, plan="W8A8", calibration=ddpm_capture, split=True, **int8_options()
    )


@pytest.fixture(scope="module")
def inputs(ddpm):
    x = np.random.default_rng(0).standard_normal((2, *ddpm.sample_shape), dtype=np.float32)
    return {"sample": x, "timestep": np.array(40, np.float32)}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_samples_are_those_of_the_simulated_model(ddpm, model, backend):
    from analysis.backends.compare import compare_real

    done = compare_real(ddpm, model, backend, samples=2, steps=2, options=OPTIONS)
    values = done.values
    assert values["psnr_simulated_db"] > 35
    assert done.comparison.values["seconds_quantized"] > 0
    assert values["seconds_compiling"] > 0
    assert [row.name for row in done.layers if not row.expected] == ["conv_in"]
    layers = {row.name: row for row in done.layers}
    assert layers["conv_in"].ran == "f32"
    if backend == "onnxruntime":
        attention = [row for name, row in layers.items() if ".attentions." in name]
        assert {row.ran for row in attention} == {"int8"}
        # Its integer convolutions give integers, and no plan rounds what a layer gives.
        conv = layers["mid_block.resnets.0.conv1"]
        assert (conv.ran, conv.expected) == ("f32", True)
        assert "chose a float kernel (Conv)" in conv.why
    elif cpu_note() is None:
        named = {name: row for name, row in layers.items() if "#" not in name}
        assert {row.ran for name, row in named.items() if name != "conv_in"} == {"int8"}
    assert values["work"]["integer"] > 0
    assert sum(values["work"].values()) == pytest.approx(1)
    assert all((row.sqnr_db is None) == ("#" in row.name) for row in done.layers)
    cost = values["symmetry"]
    assert cost["cost_db"] == cost["asymmetric_db"] - cost["symmetric_db"]


def test_an_asymmetric_plan_is_computed_in_float_and_says_why(ddpm, ddpm_capture, inputs):
    import analysis
    from analysis.backends.denoiser import compiled_handle
    from analysis.backends.layers import ran_rows

    model = analysis.quantize(ddpm, plan="W8A8", calibration=ddpm_capture)
    denoiser = compiled_handle(model, BACKENDS.get("openvino"), OPTIONS).denoiser
    compiled = denoiser.compiled_for({name: value.shape for name, value in inputs.items()})
    rows = {row.name: row for row in ran_rows(model, compiled)}
    row = rows["mid_block.resnets.0.conv1"]
    assert (row.ran, row.expected) == ("f32", False)
    assert "asymmetric" in row.why


def test_layers_part_by_nothing_but_ties(model, inputs):
    from analysis.backends.parting import layer_sqnr

    found = layer_sqnr(model, BACKENDS.get("openvino"), inputs, "time*,conv_*", OPTIONS)
    assert set(found) == {
        "time_embedding.linear_1",
        "time_embedding.linear_2",
        "conv_in",
        "conv_out",
    }
    assert found["conv_in"] > 100  # nothing before it can have been rounded apart
    assert found["conv_out"] > 20
    with pytest.raises(UserError, match="matches none"):
        layer_sqnr(model, BACKENDS.get("openvino"), inputs, "nothing*")


def test_it_can_be_cancelled_and_says_what_it_does(ddpm, model):
    from analysis.backends.compare import compare_real

    told = []

    def stop() -> bool:
        return len(told) > 2

    def hear(done: int, total: int, text: str) -> None:
        told.append(text)

    with pytest.raises(Cancelled):
        compare_real(ddpm, model, samples=1, steps=9, progress=hear, should_stop=stop)
    assert told[0] == "exporting the model"
    assert len(told) == 3


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_cpu_without_integer_products_runs_and_says_slower(model, inputs, backend, monkeypatch):
    from analysis.backends.denoiser import compiled_handle

    monkeypatch.setattr(f"analysis.backends.{backend}.cpu_note", lambda: "It is slower here.")
    denoiser = compiled_handle(model, BACKENDS.get(backend), OPTIONS).denoiser
    compiled = denoiser.compiled_for({name: value.shape for name, value in inputs.items()})
    assert compiled.run(inputs)[0].shape == inputs["sample"].shape
    assert denoiser.notes == ("It is slower here.",)


def test_a_kernel_that_takes_integers_and_computes_in_float_is_none():
    assert RuntimeNode(("a",), "Convolution", "u8", "brgconv_avx512_amx_I8").integer
    assert not RuntimeNode(("a",), "FullyConnected", "u8", "brgemm_avx512_f32").integer
    assert not RuntimeNode(("a",), "FullyConnected", "i8", "brgemm_avx512_bf16").integer
    assert not RuntimeNode(("a",), "Convolution", "f32", "brgconv_avx512_f32").integer


def test_the_command_line_prints_what_ran(said, cli, runs):
    compare = ("compare", "--quantized", runs / "quantized", "--samples", 1, "--steps", 2)
    values = said(*compare, "--backend", "openvino", "--rest", "bfloat16")
    assert values["backend"] == "openvino"
    assert {"psnr_db", "psnr_simulated_db", "bytes", "layers", "seconds_quantized"} <= set(values)
    status, _, err = cli(*compare, "--rest", "float32")
    assert (status, err) == (2, "error: --rest belongs to --backend; add one, or leave it out.\n")
    status, _, err = cli(*compare, "--backend", "abacus")
    assert status == 2
    assert "openvino" in err


def test_without_the_extra_one_line_says_what_to_install(cli, runs, monkeypatch):
    monkeypatch.setattr("analysis.extra.find_spec", lambda name: None)
    compare = ("compare", "--quantized", runs / "quantized", "--samples", 1, "--steps", 2)
    status, _, err = cli(*compare, "--backend", "openvino")
    assert (status, err) == (
        2,
        "error: OpenVINO needs onnx and openvino, which is not installed; run "
        "`pip install -r requirements-int8.txt`.\n",
    )


def test_export_writes_a_file_from_the_command_line(said, runs, tmp_path):
    done = said(
        "export", "--quantized", runs / "quantized", "--format", "onnx", "--out", tmp_path / "out"
    )
    assert [path.rsplit("/", 1)[1] for path in done["files"]] == ["model.onnx", "layers.json"]
    assert json.loads((tmp_path / "out" / "layers.json").read_text())
