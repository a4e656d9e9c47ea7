"""What a set does: against the method rtn, and against the denoisers themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import analysis
from analysis.errors import Cancelled, UserError
from analysis.lab.effect import Effect, doublings, effect_of, hold_out, predicted_noise
from analysis.metrics.sqnr import sqnr_db
from analysis.models.conditioning import condition
from analysis.models.schedulers import make_scheduler
from analysis.models.trajectory import predict
from analysis.quant.plan import QuantPlan

PLAN = QuantPlan.parse("W4A4")


@pytest.fixture(scope="module")
def effect(ddpm, drawn, held):
    return effect_of(ddpm, drawn.calibration, PLAN, held)


@pytest.fixture(scope="module")
def rounded(ddpm, drawn):
    return analysis.quantize(ddpm, "rtn", PLAN, calibration=drawn.calibration)


def test_scales_are_those_of_the_method(effect, rounded):
    expected = {n: float(q.act.scale) for n, q in rounded.qparams.items() if q.act is not None}
    assert dict(zip(effect.layers, effect.scales, strict=True)) == pytest.approx(expected)


def test_the_error_is_that_of_the_quantized_denoiser(ddpm, effect, rounded, held):
    x, t = torch.from_numpy(held.samples.x_t), torch.from_numpy(held.samples.t)
    with torch.no_grad():
        own, other = (h.denoiser(x, t).sample for h in (ddpm, rounded.handle))
    assert effect.sqnr_db == pytest.approx(sqnr_db(own, other), abs=0.02)
    for step, at in enumerate(effect.timesteps):
        found = effect.sqnr_db_per_step[step]
        assert found == pytest.approx(sqnr_db(own[t == at], other[t == at]), abs=0.05)


def test_held_out_samples_are_at_every_step_of_other_runs(ddpm, drawn, held):
    assert held.samples.counts.tolist() == [2, 2, 2]
    first = held.samples.x_t[held.samples.t == held.samples.timesteps[0]]
    mine = drawn.calibration.x_t[drawn.calibration.t == drawn.calibration.timesteps[0]]
    assert np.abs(first[:, None] - mine[None]).max(axis=(2, 3, 4)).min() > 0.1
    assert held.noise.shape == held.samples.x_t.shape


def test_a_capture_calibrates_too_and_more_bits_err_less(ddpm, ddpm_capture, held, effect):
    coarse = effect_of(ddpm, ddpm_capture, PLAN, held)
    fine = effect_of(ddpm, ddpm_capture, QuantPlan.parse("W8A8"), held)
    assert coarse.layers == effect.layers
    assert fine.sqnr_db > coarse.sqnr_db + 10
    same = doublings(coarse, coarse)
    assert same.tolist() == [0] * len(coarse.layers)


def test_a_split_input_has_two_scales(ddpm, drawn, held, effect):
    split = effect_of(ddpm, drawn.calibration, replace(PLAN, split=True), held)
    layer = ddpm.shortcuts[0].layer
    assert {f"{layer}#h", f"{layer}#skip"} <= set(split.layers)
    assert layer in effect.layers
    assert layer not in split.layers


def test_doublings_by_hand():
    steps = np.array([1.0]), np.array([20.0])
    one = Effect(("a", "b", "c"), np.array([2.0, 1.0, 1.0]), *steps, 20.0)
    other = Effect(("c", "a"), np.array([4.0, 1.0]), *steps, 20.0)
    found = doublings(one, other)
    assert found[[0, 2]].tolist() == [1, -2]
    assert np.isnan(found[1])


def test_guidance_is_part_of_the_predicted_noise(sd):
    drawn = analysis.calibrate(
        sd, "random", 2, 0, 2, with_report=False, prompt="a b", guidance_scale=3.0
    )
    found = predicted_noise(sd, drawn)
    told = condition(sd, "a b", 3.0)
    scheduler = make_scheduler(sd.pipeline.scheduler, "ddim", 2, torch.device("cpu"))
    for x, t, noise in zip(drawn.x_t, drawn.t, found, strict=True):
        x, t = torch.from_numpy(x)[None], torch.tensor(t)
        expected = predict(sd, scheduler, x, t, told, told.for_batch(1))[0]
        np.testing.assert_allclose(noise, expected, atol=1e-4)


def test_what_cannot_be_measured_is_one_sentence(ddpm, sd, drawn, held, ddpm_capture):
    with pytest.raises(UserError, match="W4A32 leaves activations float, so calibration changes"):
        effect_of(ddpm, drawn.calibration, QuantPlan.parse("W4A32"), held)
    with pytest.raises(UserError, match="taken of another model"):
        effect_of(sd, ddpm_capture, PLAN, held)
    with pytest.raises(Cancelled):
        effect_of(ddpm, drawn.calibration, PLAN, held, should_stop=lambda: True)
    with pytest.raises(UserError, match="size must be a whole number"):
        hold_out(ddpm, 3, runs=0)


def test_progress_is_one_from_nothing_to_all(ddpm, drawn, held):
    seen = []
    effect_of(ddpm, drawn.calibration, PLAN, held, lambda done, *_: seen.append(done))
    assert seen == sorted(seen)
    assert seen[-1] == 1000
