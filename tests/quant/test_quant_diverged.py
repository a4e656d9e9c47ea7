"""Blocks whose loss diverges, and methods on models that have no place for one of their parts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler

from analysis.calibration import calibrate
from analysis.models.load import from_pipeline
from analysis.quant import run
from analysis.quant.assemble import assemble, quant_layers
from analysis.quant.estimate import estimate_qparams
from analysis.quant.phase import Phase
from analysis.quant.plan import QuantPlan
from analysis.quant.reconstruct import reconstruct
from analysis.quant.store import load_quantized, save_quantized
from tests.conftest import PLAIN_BLOCKS, tiny_unet
from tests.quant.conftest import tiny_handle


@pytest.fixture(scope="module")
def model():
    return tiny_handle()


@pytest.fixture(scope="module")
def drawn(model):
    return calibrate(model, "random", 6, 0, 4, with_report=False)


@pytest.mark.parametrize("how", ["at once", "in the end"])
def test_a_block_that_diverges_keeps_its_rounded_start_and_says_so(model, drawn, how, monkeypatch):
    """Of nothing but a regularizer that tears all roundings up, no block keeps anything."""
    grids, _ = estimate_qparams(model, QuantPlan.parse("W4A32"), {})
    monkeypatch.setattr(
        f"analysis.quant.reconstruct.{'STOP' if how == 'at once' else 'KEEP'}", 1e-9
    )
    heard = []
    phase = Phase(name="weights", iterations=4, batch=4, weight_lr=0.1)
    found = reconstruct(model, grids, drawn, phase, on_loss=heard.append)
    nearest = quant_layers(assemble(model, grids).denoiser)
    for name, weight in found.weights.items():
        assert torch.equal(weight, nearest[name].weight), name
    assert found.losses == heard
    assert len(found.notes) == len({point.unit for point in heard} or found.notes)
    assert all("keeps its rounded start: in weights the loss" in note for note in found.notes)
    assert any(note.startswith("conv_out ") for note in found.notes)


def test_a_loss_that_is_no_number_counts_as_diverged(model, drawn):
    """Only the block that makes it is left out: the others learn."""
    grids, _ = estimate_qparams(model, QuantPlan.parse("W4A32"), {})
    phase = Phase(name="weights", iterations=4, batch=4, weight_lr=float("nan"))
    found = reconstruct(model, grids, drawn, phase)
    nearest = quant_layers(assemble(model, grids).denoiser)
    assert found.notes
    assert all(torch.equal(w, nearest[n].weight) for n, w in found.weights.items())
    assert all(torch.isfinite(weight).all() for weight in found.weights.values())


def test_the_last_layer_has_its_own_number_of_iterations(model, drawn):
    grids, _ = estimate_qparams(model, QuantPlan.parse("W4A32"), {})
    heard, told = [], []
    phase = Phase(name="weights", iterations=2, batch=4)
    phase = replace(phase, last=replace(phase, iterations=7))
    reconstruct(
        model,
        grids,
        drawn,
        phase,
        on_loss=heard.append,
        progress=lambda done, total, text: told.append((done, total)),
    )
    totals = {point.unit: point.iterations for point in heard}
    assert totals.pop("conv_out") == 7
    assert set(totals.values()) == {2}
    assert told[-1] == (2 * len(totals) + 7, 2 * len(totals) + 7)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def without_attention():
    """A UNet of convolutions only."""
    unet = tiny_unet(**PLAIN_BLOCKS, add_attention=False)
    return from_pipeline(DDIMPipeline(unet, DDIMScheduler(num_train_timesteps=100)), "bare")


def test_a_model_without_attention_is_told_of(tmp_path):
    bare = without_attention()
    made = run.quantize(bare, "rtn", "W8A8", calibrate(bare, "random", 4, 0, 2, with_report=False))
    assert made.notes == ("The bits of attention do not apply: this model has no attention.",)
    save_quantized(made, tmp_path / "run")
    assert load_quantized(tmp_path / "run", bare).notes == made.notes
    assert run.quantize(bare, "rtn", "W8A32").notes == ()  # no activation is quantized


def test_a_model_without_shortcuts_is_told_of(model, monkeypatch):
    plan = QuantPlan.parse("W4A32", split=True)
    assert run.quantize(model, "rtn", plan).notes == ()
    monkeypatch.setattr(type(model), "shortcuts", ())
    assert run.quantize(model, "rtn", plan).notes == (
        "The split does not apply: this model concatenates no shortcut.",
    )
