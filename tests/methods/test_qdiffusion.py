"""Q-Diffusion: split shortcuts, AdaRound block by block, then activation scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.calibration import calibrate
from analysis.errors import UserError
from analysis.methods.qdiffusion import QDiffusionConfig, scale_phase, weight_phase
from analysis.quant.assemble import quant_layers
from analysis.quant.blocks import units
from analysis.quant.run import quantize

families = pytest.mark.parametrize("family", ["ddpm", "sd"])
METHOD = "q-diffusion"
# Rates at which two iterations change something.
QUICK = {"weight_iterations": 2, "act_iterations": 2, "batch": 2, "weight_lr": 1.0}


@families
def test_end_to_end(models, quantized, saved_and_loaded, family):
    model = quantized(family, METHOD, **QUICK)
    assert (model.method, model.skipped) == (METHOD, {})
    saved_and_loaded(family, model)
    wanted = [(p, u) for p in ("weights", "scales") for u in units(models(family)) for _ in "12"]
    coarse = [pair for pair in wanted if pair != ("scales", "conv_in")]  # x_t has 16 bits
    assert [(point.phase, point.unit) for point in model.losses] == coarse


@families
def test_shortcuts_are_split_and_their_scales_learn(models, quantized, family):
    model = quantized(family, METHOD, **QUICK)
    searched = quantized(family, METHOD, **QUICK | {"act_iterations": 0})
    seams = {n: g.act.seam for n, g in model.qparams.items() if g.act and g.act.seam is not None}
    assert seams == {s.layer: s.channels_h for s in models(family).shortcuts}
    for name in seams:
        assert model.qparams[name].weight.seam == seams[name]
        learned, found = (m.qparams[name].act.scale for m in (model, searched))
        assert (learned != found).all()


@families
@pytest.mark.parametrize(
    ("part", "config"),
    [
        ("calibration", {"sampler": "single"}),
        ("split", {"split": False}),
        ("adaround", {"weight_iterations": 0}),
        ("act-scales", {"act_iterations": 0}),
    ],
)
def test_a_part_left_out_is_missed(quantized, prediction, family, part, config):
    options = {k: v for k, v in QUICK.items() if k not in config}
    whole = quantized(family, METHOD, **QUICK)
    less = quantized(family, METHOD, without=(part,), **options)
    assert {k: v for k, v in less.config.items() if whole.config[k] != v} == config
    assert not torch.equal(prediction(whole.handle), prediction(less.handle))


def test_without_adaround_weights_are_rounded_to_nearest(ddpm, quantized):
    less = quantized("ddpm", METHOD, "W4A32", act_iterations=0, without=("adaround",))
    nearest = quantize(ddpm, "rtn", "W4A32", split=True)
    mine, theirs = (quant_layers(m.handle.denoiser) for m in (less, nearest))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[n].weight, theirs[n].weight) for n in mine)
    assert {point.phase for point in less.losses} == set()


@families
def test_weights_alone_are_learned_on_a_set_too(quantized, prediction, family):
    """At W4A32 no activation has a range, but AdaRound needs inputs all the same."""
    model = quantized(family, METHOD, "W4A32", **QUICK)
    assert model.calibration
    assert {point.phase for point in model.losses} == {"weights"}
    assert all(grids.act is None for grids in model.qparams.values())
    nearest = quantized(family, METHOD, "W4A32", **QUICK | {"weight_iterations": 0})
    assert not torch.equal(prediction(model.handle), prediction(nearest.handle))


def test_activations_alone_are_learned_too(quantized):
    model = quantized("ddpm", METHOD, "W32A4", **QUICK)
    assert {point.phase for point in model.losses} == {"scales"}
    assert all(grids.weight is None for grids in model.qparams.values())


def test_ranges_are_searched_in_the_model_with_learned_weights(quantized):
    """Other roundings make other activations, so other ranges."""
    options = QUICK | {"act_iterations": 0}
    learned = quantized("ddpm", METHOD, **options)
    nearest = quantized("ddpm", METHOD, **options | {"weight_iterations": 0})
    first, last = "conv_in", "conv_out"
    assert np.array_equal(learned.qparams[first].act.scale, nearest.qparams[first].act.scale)
    assert not np.array_equal(learned.qparams[last].act.scale, nearest.qparams[last].act.scale)


def test_defaults_are_those_of_the_released_code():
    config = QDiffusionConfig()
    weights, scales = weight_phase(config), scale_phase(config)
    assert (weights.iterations, weights.batch, weights.regularizer) == (20_000, 32, 0.01)
    assert (weights.weights, weights.scales, weights.power) == (True, False, 2.0)
    assert (scales.iterations, scales.scale_lr, scales.power) == (5_000, 4e-4, 2.4)
    assert (scales.weights, scales.scales, scales.alpha) == (False, True, 0.0)
    assert weights.input_drop == scales.input_drop == scales.act_drop == 0
    assert config.sampler == "timestep-uniform"


def test_mistakes_are_named_before_any_work(ddpm, sd):
    with pytest.raises(UserError) as refused:
        quantize(ddpm, METHOD, without=("qdrop",))
    assert str(refused.value) == (
        "The method 'q-diffusion' has no part 'qdrop' to leave out; choose among: calibration, "
        "split, adaround, act-scales."
    )
    with pytest.raises(UserError, match="weight_iterations must be a whole number, 0 to"):
        quantize(ddpm, METHOD, weight_iterations=2.5)
    of_another = calibrate(ddpm, "random", 2, 0, 2, with_report=False)
    with pytest.raises(UserError, match="was drawn for another model"):
        quantize(sd, METHOD, "W4A32", of_another)
