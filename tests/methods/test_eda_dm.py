"""EDA-DM: TDAC, and roundings and scales learned together against every layer's output."""

from __future__ import annotations

import pytest
import torch

from analysis.calibration import calibrate
from analysis.calibration.store import calibration_digest
from analysis.errors import UserError
from analysis.methods.eda_dm import EdaDmConfig, joint_phase
from analysis.quant.assemble import quant_layers
from analysis.quant.blocks import units
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize

families = pytest.mark.parametrize("family", ["ddpm", "sd"])
METHOD = "eda-dm"
QUICK = {"iterations": 2, "batch": 2, "weight_lr": 1.0}
SETS = {"calibration_size": 12, "calibration_steps": 3}  # enough for TDAC to be uneven


@families
def test_end_to_end(models, quantized, saved_and_loaded, family):
    model = quantized(family, METHOD, **QUICK)
    assert (model.method, model.skipped) == (METHOD, {})
    saved_and_loaded(family, model)
    wanted = [("blocks", unit) for unit in units(models(family)) for _ in "12"]
    assert [(point.phase, point.unit) for point in model.losses] == wanted


def test_it_is_calibrated_by_density_and_diversity(ddpm, quantized):
    drawn = calibrate(ddpm, "tdac", 12, 0, 3, shared_runs=True)
    model = quantized("ddpm", METHOD, **SETS, iterations=0)
    assert model.calibration == calibration_digest(drawn)


@families
@pytest.mark.parametrize(
    ("part", "config"),
    [
        ("tdac", {"sampler": "timestep-uniform"}),
        ("calibration", {"sampler": "single"}),
        ("fbr", {"alpha": 0.0}),
        ("qdrop", {"drop": 0.0}),
        ("adaround", {"adaround": False}),
        ("act-scales", {"act_scales": False}),
    ],
)
def test_a_part_left_out_is_missed(quantized, prediction, family, part, config):
    whole = quantized(family, METHOD, **QUICK, **SETS)
    less = quantized(family, METHOD, without=(part,), **QUICK, **SETS)
    assert {k: v for k, v in less.config.items() if whole.config[k] != v} == config
    assert not torch.equal(prediction(whole.handle), prediction(less.handle))


def test_without_adaround_weights_are_rounded_to_nearest(ddpm, quantized):
    less = quantized("ddpm", METHOD, without=("adaround",), **QUICK)
    nearest = quantize(ddpm, "rtn", "W4A32")
    mine, theirs = (quant_layers(m.handle.denoiser) for m in (less, nearest))
    assert all(torch.equal(mine[n].weight, theirs[n].weight) for n in theirs)


def test_without_scales_the_searched_ones_stay(quantized):
    less = quantized("ddpm", METHOD, without=("act-scales",), **QUICK)
    searched = quantized("ddpm", METHOD, iterations=0)
    for name, grids in searched.qparams.items():
        assert grids.act.scale.tolist() == less.qparams[name].act.scale.tolist(), name


@families
def test_weights_alone_are_learned_on_a_set_too(quantized, family):
    model = quantized(family, METHOD, "W4A32", **QUICK)
    assert model.calibration
    assert model.losses
    assert all(grids.act is None for grids in model.qparams.values())


@pytest.mark.parametrize(
    ("plan", "rate"), [("W4A8", 0.5), ("W3A8", 0.5), ("W8A8", 0.05), ("W6A6", 0.05)]
)
def test_defaults_are_those_of_the_released_code(plan, rate):
    config = EdaDmConfig()
    phase = joint_phase(config, QuantPlan.parse(plan))
    assert (phase.iterations, phase.batch, phase.weight_lr) == (5_000, 32, rate)
    assert (phase.weights, phase.scales) == (True, True)
    assert (phase.alpha, phase.regularizer, phase.power) == (0.8, 0.0, 2.0)
    assert phase.input_drop == phase.act_drop == 0.5
    assert (config.sampler, config.act_estimator) == ("tdac", "lp2d")


@pytest.mark.parametrize(
    ("plan", "rate", "last"), [("W4A4", 1.0, 7), ("W5A5", 0.25, 0), ("W8A8", 0.25, 0)]
)
def test_roundings_above_four_bits_learn_at_a_rate_of_their_own(plan, rate, last):
    config = EdaDmConfig(weight_lr=1.0, fine_weight_lr=0.25, last_iterations=7)
    phase = joint_phase(config, QuantPlan.parse(plan))
    assert phase.weight_lr == rate
    assert phase.last.iterations == last


def test_the_last_layer_learns_as_a_block_does_unless_asked_otherwise():
    assert joint_phase(EdaDmConfig(), QuantPlan.parse("W8A8")).last is None


def test_mistakes_are_named_before_any_work(ddpm):
    with pytest.raises(UserError) as refused:
        quantize(ddpm, METHOD, without=("split",))
    assert str(refused.value) == (
        "The method 'eda-dm' has no part 'split' to leave out; choose among: tdac, calibration, "
        "fbr, qdrop, adaround, act-scales."
    )
    with pytest.raises(UserError, match=r"drop must be 0 to 1; got 1.5"):
        quantize(ddpm, METHOD, drop=1.5)
    with pytest.raises(UserError, match="batch must be a whole number, 1 to 4,096; got 0"):
        quantize(ddpm, METHOD, batch=0)
