"""Which layer suffers most: found where it was put, kept in time, and turned into overrides."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from scipy.stats import spearmanr

import analysis
from analysis.comparison import compare
from analysis.errors import Cancelled, UserError
from analysis.metrics.sqnr import sqnr_db
from analysis.models.trajectory import sampling_spec
from analysis.one_layer import hold_out
from analysis.quant.plan import QuantPlan
from analysis.quant.run import quantize
from analysis.sensitivity import LayerSensitivity, Sensitivity, most_sensitive, sensitivity

STRETCHED = "up_blocks.1.attentions.1"
SMALL = {"samples": 2, "moments": 2, "steps": 3, "seed": 5}


@pytest.fixture(scope="module")
def watched(ddpm, ddpm_capture):
    """A measurement with two finalists: the result, its states on the way, its progress."""
    states, told = [], []
    done = sensitivity(
        ddpm,
        "W4A8",
        ddpm_capture,
        finalists=2,
        progress=lambda *now: told.append(now),
        on_layer=states.append,
        **SMALL,
    )
    return done, states, told


@pytest.fixture(scope="module")
def found(watched):
    return watched[0]


@pytest.fixture(scope="module")
def spoilt(ddpm):
    """The same function with one attention's input stretched in a channel, its weights shrunk."""
    denoiser = copy.deepcopy(ddpm.denoiser)
    attention = denoiser.get_submodule(STRETCHED)
    with torch.no_grad():
        attention.group_norm.weight[0] *= 300
        attention.group_norm.bias[0] *= 300
        for part in (attention.to_q, attention.to_k, attention.to_v):
            part.weight[:, 0] /= 300
    return analysis.from_pipeline(ddpm.with_denoiser(denoiser).pipeline, "spoilt")


def rows(*values: tuple[str, int | None, int, float | None]) -> Sensitivity:
    """A result with these names, bits and decibels."""
    made = tuple(
        LayerSensitivity(name, "conv", weight, act, 1.0, db) for name, weight, act, db in values
    )
    plan = QuantPlan.parse("W4A8")
    return Sensitivity("toy", "", plan, made, torch.zeros(1).numpy(), 1, 0.0, "whole")


def test_a_layer_made_sensitive_on_purpose_is_the_most_sensitive(ddpm, spoilt):
    x = torch.randn(1, *ddpm.sample_shape)
    with torch.no_grad():
        before, after = (m.denoiser(x, 40).sample for m in (ddpm, spoilt))
    assert torch.allclose(before, after, atol=1e-4)
    calibration = analysis.capture(spoilt, steps=3, samples=2)
    done = sensitivity(spoilt, "W8A8", calibration, **SMALL | {"moments": 1})
    assert done.ranking[0].name == f"{STRETCHED}.to_v"
    assert most_sensitive(done, 1, bits=32) == {f"{STRETCHED}.to_v": "W32A32"}


def test_a_layer_with_fewer_bits_than_all_others_is_the_most_sensitive(ddpm, ddpm_capture):
    plan = QuantPlan.parse("W8A8", overrides={"mid_block.resnets.0.conv1": "W2A2"})
    done = sensitivity(ddpm, plan, ddpm_capture, **SMALL | {"moments": 1})
    assert done.ranking[0].name == "mid_block.resnets.0.conv1"


def test_numbers_are_those_of_a_model_with_that_layer_alone(ddpm, ddpm_capture, found):
    held = hold_out(ddpm, sampling_spec(ddpm, 3, 2, 5), 2)
    assert found.timesteps.tolist() == held.timesteps.tolist()
    for row in (found.ranking[0], found.ranking[7], found.ranking[-1]):
        plan = QuantPlan.parse(
            "W32A32",
            overrides={row.name: f"W{row.weight_bits or 32}A{row.act_bits}"},
            edge_bits=None,
        )
        alone = held.predicted(quantize(ddpm, plan=plan, calibration=ddpm_capture).handle)
        assert row.sqnr_db == sqnr_db(held.noise, alone)
        each = [sqnr_db(x, x_q) for x, x_q in zip(held.noise, alone, strict=True)]
        assert list(row.by_step_db) == each


def test_every_quantized_tensor_is_there_in_execution_order(ddpm, found):
    assert [row.name for row in found.rows] == [layer.name for layer in ddpm.layers]
    assert found.not_reached == ()
    assert found.ended == "whole"
    decibels = [row.sqnr_db for row in found.ranking]
    assert decibels == sorted(decibels)
    assert found.model_digest == ddpm.digest


def test_finalists_are_sampled_whole_with_that_layer_alone(ddpm, ddpm_capture, found):
    done = found
    assert [row.name for row in done.rows if row.psnr_db is not None] == [
        row.name for row in done.rows if row in done.ranking[:2]
    ]
    best = done.ranking[1]
    text = f"W{best.weight_bits or 32}A{best.act_bits}"
    plan = QuantPlan.parse("W32A32", overrides={best.name: text}, edge_bits=None)
    alone = quantize(ddpm, plan=plan, calibration=ddpm_capture)
    expected = compare(ddpm, alone, samples=2, steps=3, seed=5).values["psnr_db"]
    assert best.psnr_db == pytest.approx(expected, rel=1e-6)


def test_a_budget_that_is_over_at_once_measures_the_first_layer_only(ddpm, ddpm_capture):
    done = sensitivity(ddpm, "W4A8", ddpm_capture, budget=1e-9, finalists=3, **SMALL)
    assert done.ended == "budget"
    worst = min(done.rows, key=lambda row: row.predicted_db)
    assert [row.name for row in done.ranking] == [worst.name]
    assert len(done.not_reached) == len(done.rows) - 1
    assert all(row.psnr_db is None for row in done.rows)


def test_the_worst_prediction_is_measured_first(watched):
    _, seen, _ = watched
    order, known = [], set()
    for state in seen[:-2]:
        (new,) = {row.name for row in state.ranking} - known
        known.add(new)
        order.append(new)
    predicted = {row.name: row.predicted_db for row in seen[-1].rows}
    assert [predicted[n] for n in order] == sorted(predicted.values())


def test_the_prediction_tells_the_sensitive_from_the_others(found):
    predicted = [row.predicted_db for row in found.ranking]
    assert spearmanr(predicted, [row.sqnr_db for row in found.ranking]).statistic > 0.9


def test_what_was_measured_is_kept_when_it_is_stopped(ddpm, ddpm_capture):
    seen = []
    done = sensitivity(
        ddpm,
        "W4A8",
        ddpm_capture,
        on_layer=seen.append,
        should_stop=lambda: len(seen) == 5,
        **SMALL,
    )
    assert done.ended == "cancelled"
    assert len(done.ranking) == 5
    assert done.rows == seen[-1].rows


def test_without_memory_for_derivatives_it_goes_in_execution_order(ddpm, ddpm_capture, monkeypatch):
    def full(*given):
        raise MemoryError

    monkeypatch.setattr("analysis.sensitivity.expected_db", full)
    done = sensitivity(ddpm, "W4A8", ddpm_capture, budget=1e-9, **SMALL)
    assert [row.name for row in done.ranking] == [ddpm.layers[0].name]


def test_stopping_before_the_first_layer_is_a_cancel(ddpm, ddpm_capture):
    with pytest.raises(Cancelled):
        sensitivity(ddpm, "W4A8", ddpm_capture, should_stop=lambda: True, **SMALL)


def test_progress_is_told_layer_by_layer(ddpm, watched):
    _, _, told = watched
    count = len(ddpm.layers)
    assert [done for done, _, _ in told[-count - 4 : -3]] == list(range(count + 1))
    assert [now[:2] for now in told[-3:]] == [(0, 2), (1, 2), (2, 2)]


def test_overrides_raise_what_is_coarse_and_lower_nothing():
    ranked = rows(
        ("conv_in", 8, 16, 1.0),  # the noisy sample: fine already
        ("a#q", None, 4, 2.0),
        ("b", 4, 32, 3.0),
        ("c", 32, 6, 4.0),
        ("d", 4, 16, 5.0),
        ("e", 4, 4, None),
    )
    assert most_sensitive(ranked, 9) == {
        "a#q": "W8A8",
        "b": "W8A32",
        "c": "W32A8",
        "d": "W8A32",
    }
    assert list(most_sensitive(ranked, 2)) == ["a#q", "b"]
    assert most_sensitive(ranked, 1, bits=6) == {"a#q": "W6A6"}


def test_a_name_with_glob_signs_means_itself():
    (name,) = most_sensitive(rows(("odd[1]*", 4, 4, 1.0)), 1)
    plan = QuantPlan.parse("W4A4", overrides={name: "W8A8"})
    layers = [analysis.LayerRef("odd[1]*", "conv"), analysis.LayerRef("odd1", "conv")]
    model = type("Toy", (), {"layers": tuple(layers), "first_layer": "", "last_layer": ""})()
    assert [plan.resolve(model)[x.name].act.bits for x in layers] == [8, 4]


def test_overrides_make_the_model_better(ddpm, ddpm_capture, found):
    held = hold_out(ddpm, sampling_spec(ddpm, 3, 2, 5), 2)

    def error(overrides):
        made = quantize(ddpm, plan="W4A8", calibration=ddpm_capture, overrides=overrides)
        return sqnr_db(held.noise, held.predicted(made.handle))

    assert error(most_sensitive(found, 8)) > error(None)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"budget": 0}, "The budget must be a number of seconds above 0; got 0."),
        ({"budget": math.nan}, "The budget must be a number of seconds above 0; got nan."),
        ({"moments": 0}, "moments must be a whole number of 1 or more; got 0."),
        ({"finalists": -1}, "finalists must be a whole number of 0 or more; got -1."),
        ({"plan": "W32A32"}, "W32A32 leaves every layer float; choose fewer bits."),
        ({"plan": "W9A9"}, "bits must be 2 to 8"),
        ({"samples": 0}, "samples must be a whole number of 1 or more"),
    ],
)
def test_bad_values_are_one_sentence(ddpm, changed, sentence):
    with pytest.raises(UserError, match=sentence):
        sensitivity(ddpm, **SMALL | {"steps": 2} | changed)


def test_bad_counts_are_one_sentence(found):
    with pytest.raises(UserError, match="number of layers must be a whole number of 1 or more"):
        most_sensitive(found, 0)
    with pytest.raises(UserError, match="No layer was measured; allow more seconds"):
        most_sensitive(rows(("a", 4, 4, None)), 3)


def test_the_module_is_the_function(ddpm, ddpm_capture, found):
    again = analysis.sensitivity(ddpm, "W4A8", ddpm_capture, budget=1e-9, **SMALL)
    (measured,) = again.ranking
    assert measured in [replace(row, psnr_db=None) for row in found.ranking]
