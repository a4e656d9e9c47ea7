"""PTQ4DM: NDTC and a search by squared error, nothing learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.calibration import calibrate
from analysis.calibration.store import calibration_digest
from analysis.capture.run import capture
from analysis.errors import UserError
from analysis.quant.run import quantize

families = pytest.mark.parametrize("family", ["ddpm", "sd"])
METHOD = "ptq4dm"
SETS = {"calibration_size": 12, "calibration_steps": 3}  # enough to meet more than one step


@families
def test_end_to_end(quantized, saved_and_loaded, family):
    model = quantized(family, METHOD)
    assert (model.method, model.skipped, model.losses) == (METHOD, {}, ())
    assert model.config["sampler"] == "ndtc"
    assert model.config["act_estimator"] == "mse"
    saved_and_loaded(family, model)


def test_it_is_calibrated_as_released(ddpm, quantized):
    """The digest is that of an NDTC set, clamped, drawn with the job's seed."""
    drawn = calibrate(ddpm, "ndtc", 4, 0, 2, mean=0.4, std=0.4, mode="clamped", shared_runs=True)
    assert quantized("ddpm", METHOD).calibration == calibration_digest(drawn)


def test_ranges_are_those_of_least_squared_error(ddpm, quantized):
    """The first layer is given the set itself: every one of 80 shrunk ranges is tried on it."""
    x = calibrate(ddpm, "ndtc", 12, 0, 3, shared_runs=True, with_report=False).x_t.astype(float)
    lo, hi = min(x.min(), 0.0), max(x.max(), 0.0)

    def error(scale: float, zero_point: int) -> float:
        levels = np.clip(np.round(x / scale) + zero_point, 0, 15)
        return float(np.square((levels - zero_point) * scale - x).mean())

    tried = [(hi - lo) * share / 15 for share in np.arange(100, 20, -1) / 100]
    best = min(error(scale, round(-lo * 15 / (hi - lo))) for scale in tried)
    grid = quantized("ddpm", METHOD, "W4A4", edge_bits=None, **SETS).qparams["conv_in"].act
    assert error(float(grid.scale), int(grid.zero_point)) < 1.02 * best
    assert float(grid.scale) < 0.99 * tried[0]  # it does clip


@families
@pytest.mark.parametrize(
    ("part", "config"),
    [("calibration", {"sampler": "single"}), ("range-search", {"act_estimator": "minmax"})],
)
def test_a_part_left_out_is_missed(quantized, prediction, family, part, config):
    whole = quantized(family, METHOD, **SETS)
    less = quantized(family, METHOD, without=(part,), **SETS)
    assert {k: v for k, v in less.config.items() if whole.config[k] != v} == config
    assert not torch.equal(prediction(whole.handle), prediction(less.handle))


def test_weights_alone_need_no_calibration(quantized):
    model = quantized("ddpm", METHOD, "W4A32")
    assert model.calibration == ""
    nearest = quantized("ddpm", METHOD, "W4A8")
    for name, grids in model.qparams.items():
        assert np.array_equal(grids.weight.scale, nearest.qparams[name].weight.scale)


@pytest.mark.parametrize("estimator", ["l1", "cosine", "kl", "mse"])
def test_every_metric_that_the_paper_compares_can_be_chosen(quantized, estimator):
    model = quantized("ddpm", METHOD, act_estimator=estimator)
    assert model.plan.base.act.estimator == estimator


def test_what_is_no_set_is_refused(ddpm, sd):
    taken = capture(ddpm, steps=2, samples=1)
    with pytest.raises(UserError) as refused:
        quantize(ddpm, METHOD, "W8A8", taken)
    assert str(refused.value) == (
        "PTQ4DM is calibrated on a calibration set (analysis.calibrate(model)); got a Capture."
    )
    of_another = calibrate(ddpm, "random", 2, 0, 2, with_report=False)
    with pytest.raises(UserError, match="was drawn for another model"):
        quantize(sd, METHOD, "W8A8", of_another)
