"""A tiny pipeline of every family from its folder to a comparison, as a person would go."""

from __future__ import annotations

import math

import numpy as np
import pytest

import analysis


@pytest.fixture(scope="module", params=["ddpm", "sd", "sdxl"])
def journey(request, folders, tmp_path_factory):
    """Load, capture, report, quantize, save, load again, compare."""
    family, home = request.param, tmp_path_factory.mktemp("journey")
    prompt = {} if family == "ddpm" else {"prompt": "a red fox", "guidance_scale": 3.0}
    model = analysis.load_model(folders(family), "cpu")
    capture = analysis.capture(model, steps=5, samples=3, seed=1, **prompt)
    capture = analysis.load_capture(analysis.save_capture(capture, home / "c.safetensors"))
    made = {plan: analysis.quantize(model, "rtn", plan, capture) for plan in ("W8A8", "W3A3")}
    loaded = {
        plan: analysis.load_quantized(analysis.save_quantized(quantized, home / plan), model)
        for plan, quantized in made.items()
    }
    compared = {
        plan: analysis.compare(model, quantized, samples=3, steps=5, seed=1, **prompt)
        for plan, quantized in loaded.items()
    }
    return model, capture, loaded, compared


def test_every_shortcut_is_reported(journey):
    model, capture, _, _ = journey
    reports = analysis.shortcut_report(capture)
    assert len(reports) == len(model.shortcuts) == 6
    for report in reports:
        layer = model.denoiser.get_submodule(report.layer)
        assert report.channels_h + report.channels_skip == layer.in_channels
        assert report.range_h > 0
        assert report.range_skip > 0
        own, joint = report.sqnr_db_small_half_split, report.sqnr_db_small_half_joint
        assert own[4] >= joint[4] - 1e-9


def test_every_tensor_is_quantized_by_the_plan(journey):
    model, _, loaded, _ = journey
    for plan, quantized in loaded.items():
        bits = int(plan[1])
        rows = {row.name: row for row in quantized.layers}
        assert list(rows) == [layer.name for layer in model.layers]
        assert not quantized.skipped
        for layer in model.layers:
            edge = layer.name in (model.first_layer, model.last_layer)
            expected = 8 if edge or layer.tap == "softmax" else bits
            assert rows[layer.name].act_bits == expected, layer.name
            weight = None if layer.kind == "attention" else 8 if edge else bits
            assert rows[layer.name].weight_bits == weight, layer.name


def test_eight_bits_are_close_and_three_are_not(journey):
    _, _, _, compared = journey
    close, far = compared["W8A8"].values, compared["W3A3"].values
    assert np.array_equal(compared["W8A8"].reference, compared["W3A3"].reference)
    assert close["psnr_db"] > far["psnr_db"] + 6
    assert close["sqnr_db"] > 20
    assert close["ssim"] > far["ssim"]
    assert len(close["divergence"]) == 5
    assert all(math.isfinite(d) and d > 0 for d in close["divergence"])


def test_the_float_model_is_as_it_was(journey, folders):
    model, _, _, _ = journey
    assert model.digest == analysis.load_model(model.name, "cpu").digest
