"""Plain rounding, and the one call that runs any method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from diffusers import DDIMPipeline, DDIMScheduler

from analysis.capture.run import capture
from analysis.errors import UserError
from analysis.methods import METHODS, rtn
from analysis.models.load import from_pipeline
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize
from tests.conftest import tiny_unet


def make_handle(seed: int):
    unet = tiny_unet(seed, block_out_channels=(8, 8))
    return from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=50)), f"m{seed}")


@pytest.fixture(scope="module")
def handle():
    return make_handle(0)


@pytest.fixture(scope="module")
def calibration(handle):
    return capture(handle, steps=3, samples=2, seed=0, exact=True)


def test_activation_grids_span_all_steps(handle, calibration):
    quantized = quantize(handle, plan="W8A8", calibration=calibration, input_bits=8)
    for layer in handle.layers:
        grid, stats = quantized.qparams[layer.name].act, calibration[layer.name]
        lo, hi = min(stats.min.min(), 0.0), max(stats.max.max(), 0.0)
        assert float(grid.scale) == pytest.approx((hi - lo) / 255, rel=1e-5), layer.name
        assert abs(int(grid.zero_point) + lo / float(grid.scale)) <= 0.5 + 1e-3
    assert quantized.calibration == rtn.capture_digest(calibration)


def test_weight_grids_are_per_channel(handle):
    quantized = quantize(handle, plan="W4A32")
    for layer in handle.layers:
        if layer.kind not in ("conv", "linear"):
            continue
        weight = handle.denoiser.get_submodule(layer.name).weight.detach().flatten(1)
        top = 255 if layer.name in (handle.first_layer, handle.last_layer) else 15
        span = weight.amax(1).clamp(min=0) - weight.amin(1).clamp(max=0)
        np.testing.assert_allclose(
            quantized.qparams[layer.name].weight.scale, span / top, rtol=1e-5
        )
    assert quantized.calibration == ""


def test_estimators_of_weights_and_activations_are_set_apart(handle, calibration):
    def scales(part: str, **options) -> dict[str, float]:
        quantized = quantize(handle, plan="W4A4", calibration=calibration, **options)
        found = {n: getattr(g, part) for n, g in quantized.qparams.items()}
        return {n: float(np.sum(g.scale)) for n, g in found.items() if g is not None}

    plain = {part: scales(part) for part in ("weight", "act")}
    weights = {part: scales(part, weight_estimator="lp") for part in ("weight", "act")}
    acts = {part: scales(part, act_estimator="percentile:99") for part in ("weight", "act")}
    assert weights["act"] == plain["act"]
    assert acts["weight"] == plain["weight"]
    assert weights["weight"] != plain["weight"]
    assert acts["act"] != plain["act"]


@pytest.mark.parametrize("preset", ["instant", "fast", "paper"])
def test_presets_and_options_are_noted_in_the_result(handle, calibration, preset):
    quantized = quantize(
        handle, plan="W4A6", calibration=calibration, preset=preset, edge_bits=None
    )
    presets = {"instant": ("minmax", "minmax"), "fast": ("minmax", "lp"), "paper": ("lp", "lp")}
    weight, act = presets[preset]
    assert quantized.config["weight_estimator"] == weight
    assert quantized.config["edge_bits"] is None
    assert quantized.plan.base.act.estimator == act
    assert quantized.method == "rtn"


def test_an_option_beats_the_preset(handle):
    quantized = quantize(handle, plan="W4A32", preset="paper", weight_estimator="percentile:99")
    assert quantized.config["weight_estimator"] == "percentile:99"
    assert quantized.config["act_estimator"] == "lp"


def test_a_capture_is_drawn_where_none_is_given(handle, monkeypatch):
    drawn = []
    monkeypatch.setattr(rtn, "STEPS", 2)
    monkeypatch.setattr(rtn, "SAMPLES", 2)
    real = rtn.capture_digest
    monkeypatch.setattr(rtn, "capture_digest", lambda c: drawn.append(c) or real(c))
    twice = [quantize(handle, plan="W8A8", seed=seed) for seed in (5, 5, 6)]
    assert [c.spec.seed for c in drawn] == [5, 5, 6]
    assert [c.spec.steps for c in drawn] == [2, 2, 2]
    digests = [q.calibration for q in twice]
    assert digests[0] == digests[1] != digests[2]


@pytest.fixture
def no_calibration(monkeypatch):
    def refuse(*_):
        raise AssertionError("a calibration was drawn")

    monkeypatch.setitem(METHODS._items, "rtn", replace(METHODS.get("rtn"), calibrate=refuse))


@pytest.mark.usefixtures("no_calibration")
def test_no_capture_is_drawn_for_float_activations(handle):
    with pytest.raises(AssertionError, match="was drawn"):
        quantize(handle, plan="W4A8")
    assert quantize(handle, plan="W4A32").skipped == {}


def test_the_capture_of_another_model_is_refused(calibration):
    with pytest.raises(UserError, match=r"taken of another model \(m0\) than m1"):
        quantize(make_handle(1), plan="W8A8", calibration=calibration)


def test_what_is_no_capture_is_refused(handle):
    with pytest.raises(UserError, match=r"calibrated on a capture .*; got a list"):
        quantize(handle, plan="W8A8", calibration=[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "rtx"}, "There is no method named 'rtx'; choose one of: .*rtn.*"),
        ({"preset": "slow"}, "no preset 'slow'; choose one of: instant, fast, paper"),
        ({"bits": 4}, "'rtn' has no option 'bits'; its options are: weight_estimator, "),
        ({"act_estimator": "max"}, "no range estimator named 'max'"),
        ({"softmax_bits": 9}, "softmax_bits must be one of: 2, 3, .* got 9"),
        ({"edge_bits": True}, "edge_bits must be one of: none, 2"),
        ({"act_symmetric": "yes"}, "act_symmetric must be true or false; got 'yes'"),
        ({"plan": "W4"}, "Cannot read the plan"),
        ({"overrides": {"nothing*": "W8A8"}}, r"'nothing\*' matches none"),
    ],
)
@pytest.mark.usefixtures("no_calibration")
def test_mistakes_are_named_before_any_work(handle, arguments, message):
    with pytest.raises(UserError, match=message):
        quantize(handle, **arguments)


def test_a_complete_plan_takes_no_options_of_its_own(handle):
    plan = QuantPlan.parse("W4A32", weight_estimator="percentile:95", edge_bits=None)
    assert quantize(handle, plan=plan).plan == plan
    with pytest.raises(UserError, match="edge_bits, overrides belong to the plan"):
        quantize(handle, plan=plan, edge_bits=8, overrides={"*": "W8A8"})
