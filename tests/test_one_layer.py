"""One quantized layer in a float model: the same as converting the model with that layer alone."""

from __future__ import annotations

import pytest
import torch

from analysis.models.trajectory import sampling_spec, trajectory
from analysis.one_layer import HELD_OUT, OneLayer, hold_out
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize


@pytest.fixture(scope="module")
def held(ddpm):
    return hold_out(ddpm, sampling_spec(ddpm, 4, 2, 1), 3)


@pytest.fixture(scope="module")
def one(ddpm, ddpm_capture):
    plan = QuantPlan.parse("W3A4", edge_bits=None)
    return OneLayer(ddpm, quantize(ddpm, plan=plan, calibration=ddpm_capture))


@pytest.mark.parametrize(
    ("family", "scheduler"), [("ddpm", None), ("ddpm", "euler"), ("sd", None), ("sdxl", None)]
)
def test_the_float_model_predicts_its_own_noise_bit_for_bit(models, family, scheduler):
    model = models(family)
    held = hold_out(model, sampling_spec(model, 4, 2, 0, scheduler), 3)
    assert torch.equal(held.predicted(model), held.noise)


def test_held_out_inputs_are_steps_of_runs_that_no_calibration_draws(ddpm, held):
    spec = sampling_spec(ddpm, 4, 2, 1)
    steps = list(trajectory(ddpm, spec, HELD_OUT))
    assert held.timesteps.tolist() == [steps[i].timestep for i in (0, 2, 3)]
    assert all(torch.equal(x, steps[i].x_t) for x, i in zip(held.x_t, (0, 2, 3), strict=True))
    assert held.noise.shape == (3, 2, *ddpm.sample_shape)


def test_more_moments_than_steps_are_all_steps(ddpm):
    assert len(hold_out(ddpm, sampling_spec(ddpm, 3, 1), 9).timesteps) == 3


def test_it_computes_what_a_conversion_of_that_layer_alone_computes(ddpm, ddpm_capture, held, one):
    for layer in ddpm.layers[1::7]:
        text = "W32A8" if layer.tap == "softmax" else "W3A4"
        plan = QuantPlan.parse("W32A32", overrides={layer.name: text}, edge_bits=None)
        alone = quantize(ddpm, plan=plan, calibration=ddpm_capture)
        with one.only(layer.name) as handle:
            found = held.predicted(handle)
        assert torch.equal(found, held.predicted(alone.handle)), layer.name
        assert not torch.equal(found, held.noise), layer.name


def test_those_layers_are_of_every_kind(ddpm):
    assert {(x.kind, x.tap) for x in ddpm.layers[1::7]} == {(x.kind, x.tap) for x in ddpm.layers}


def test_all_is_float_again_afterwards_also_after_an_error(ddpm, held, one):
    for name in ("conv_in", next(x.name for x in ddpm.layers if x.tap == "softmax")):
        with pytest.raises(RuntimeError, match="on the way"), one.only(name):
            raise RuntimeError("on the way")
        assert torch.equal(held.predicted(one.handle), held.noise)
    assert torch.equal(held.predicted(ddpm), held.noise)
