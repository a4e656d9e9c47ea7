"""Whole models whose concatenated shortcuts are split: what it changes, and what it saves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analysis.calibration.run import calibrate
from analysis.capture.run import capture
from analysis.errors import UserError
from analysis.quant import files
from analysis.quant.assemble import assemble
from analysis.quant.convert import convert
from analysis.quant.estimate import GROUPED, NO_HALVES, estimate_qparams
from analysis.quant.modules import FakeQuantize
from analysis.quant.plan import QuantPlan
from analysis.quant.primitives import choose_qparams, fake_quantize
from analysis.quant.run import quantize
from analysis.quant.store import load_quantized, save_quantized
from analysis.shortcuts import shortcut_report
from tests.quant.conftest import ddpm_first

ROOT = Path(__file__).parents[2]
families = pytest.mark.parametrize("family", ["ddpm", "sd"])


@pytest.fixture(scope="module")
def captures(models):
    """Capture of a tiny model by the name of its family: every value, one step."""
    made = {}

    def taken(family: str):
        if family not in made:
            made[family] = capture(models(family), steps=2, samples=2, exact=True, bins=2048)
        return made[family]

    return taken


def prediction(handle) -> torch.Tensor:
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(2, *handle.sample_shape, generator=draw)
    extra = {}
    if handle.conditional:
        width = handle.denoiser.config.cross_attention_dim
        extra["encoder_hidden_states"] = torch.randn(2, 4, width, generator=draw)
    with torch.no_grad():
        return handle.denoiser(x, 40, **extra).sample


@families
def test_every_shortcut_and_nothing_else_is_split(models, captures, family):
    model = models(family)
    quantized = quantize(model, plan="W4A4", calibration=captures(family), split=True)
    seams = {s.layer: s.channels_h for s in model.shortcuts}
    assert seams
    for name, grids in quantized.qparams.items():
        for grid in (grids.weight, grids.act):
            assert grid is None or grid.seam == seams.get(name), name
    assert quantized.skipped == {}
    assert "split shortcuts" in str(quantized.plan)
    whole = quantize(model, plan="W4A4", calibration=captures(family))
    assert not torch.equal(prediction(whole.handle), prediction(quantized.handle))


@families
def test_a_split_layer_is_its_slices_quantized_apart(models, captures, family):
    model = models(family)
    quantized = quantize(model, plan="W4A4", calibration=captures(family), split=True)
    for cut in model.shortcuts:
        layer = quantized.handle.denoiser.get_submodule(cut.layer)
        float_ = model.denoiser.get_submodule(cut.layer)
        x = torch.randn(2, float_.in_channels, 4, 4)
        out = 0
        for tap, part in (("h", slice(cut.channels_h)), ("skip", slice(cut.channels_h, None))):
            weight = float_.weight.detach()[:, part]
            s, z = choose_qparams(weight, 4, granularity="per_channel")
            stats = captures(family)[f"{cut.layer}#{tap}"]
            low, high = min(stats.min.min(), 0), max(stats.max.max(), 0)
            scale = torch.tensor((high - low) / 15, dtype=torch.float32)
            zero_point = torch.tensor(round(-low / scale.item()), dtype=torch.int32)
            rounded = torch.fake_quantize_per_tensor_affine(x[:, part], scale, zero_point, 0, 15)
            out = out + nn.functional.conv2d(rounded, fake_quantize(weight, s, z, 4))
        expected = out + float_.bias[:, None, None]
        with torch.no_grad():
            torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wide_first", [True, False])
def test_the_narrow_half_gains_what_the_shortcut_report_predicts(ddpm_like, wide_first):
    """Halves eight times apart: the gain at 4 bits, on the tensor that the layer is given."""
    handle, cut, x = ddpm_like(wide_first)
    taken = capture(handle, steps=1, samples=4, exact=True, bins=2048)
    report = next(r for r in shortcut_report(taken, bits=[4]) if r.layer == cut.layer)
    assert report.range_ratio > 6
    narrow = slice(cut.channels_h, None) if wide_first else slice(cut.channels_h)
    measured = {}
    for split in (False, True):
        qparams, _ = estimate_qparams(
            handle,
            QuantPlan.parse("W32A4", split=split),
            {layer.name: taken[layer.name].total for layer in taken.layers},
        )
        layer = assemble(handle, qparams).denoiser.get_submodule(cut.layer)
        assert isinstance(layer.input_quantizer, FakeQuantize)
        part, error = x[:, narrow], (layer.input_quantizer(x) - x)[:, narrow]
        measured[split] = float(10 * torch.log10(part.square().sum() / error.square().sum()))
    joint, apart = report.sqnr_db_small_half_joint[4], report.sqnr_db_small_half_split[4]
    assert measured[False] == pytest.approx(joint, abs=0.5)
    assert measured[True] == pytest.approx(apart, abs=0.5)
    assert apart > joint + 9


@pytest.fixture
def ddpm_like(ddpm):
    """A model one of whose concatenations has halves eight times apart; what its layer sees."""

    def made(wide_first: bool):
        cut = ddpm.shortcuts[-1]
        denoiser = assemble(ddpm, {}).denoiser
        resnet = denoiser.get_submodule(cut.layer.removesuffix(".conv_shortcut"))
        forward, seen = resnet.forward, []

        def scaled(x, *args, **kwargs):
            h, skip = x[:, : cut.channels_h], x[:, cut.channels_h :]
            wide, narrow = (h, skip) if wide_first else (skip, h)
            wide = wide * (8 * narrow.abs().max() / wide.abs().max())
            parts = (wide, narrow) if wide_first else (narrow, wide)
            seen.append(torch.cat(parts, dim=1))
            return forward(seen[-1], *args, **kwargs)

        resnet.forward = scaled
        handle = ddpm.with_denoiser(denoiser)
        capture(handle, steps=1, samples=4)
        return handle, cut, seen[0]

    return made


@ddpm_first
def test_a_saved_split_model_comes_back_in_a_new_process(models, captures, family, tmp_path):
    model = models(family)
    quantized = quantize(
        model, plan="W4A6", calibration=captures(family), split=True, weight_estimator="lp"
    )
    saved = save_quantized(quantized, tmp_path / "run")
    model.pipeline.save_pretrained(tmp_path / "float", safe_serialization=True)
    torch.save(prediction(quantized.handle), tmp_path / "expected.pt")
    code = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_quant_split_models import prediction
from analysis.models.load import load_model
from analysis.quant.store import load_quantized
model = load_quantized({str(saved)!r}, load_model({str(tmp_path / "float")!r}, "cpu"))
print(torch.equal(prediction(model.handle), torch.load({str(tmp_path / "expected.pt")!r})))
print(model.plan.split, sum(g.act.seam is not None for g in model.qparams.values()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True", str(len(model.shortcuts))], done.stderr
    loaded = load_quantized(saved, model)
    assert (loaded.plan, loaded.layers) == (quantized.plan, quantized.layers)


def changed(saved: Path, **values) -> None:
    """The recipe with other values, signed again as if it had been written so."""
    recipe = json.loads((saved / "recipe.json").read_text()) | values
    (saved / "recipe.json").write_text(json.dumps(files._signed(recipe)))


@pytest.mark.parametrize("seam", [[None, None], [0, 0], [99, 99], ["x", "x"], [1], 3, None])
def test_a_seam_that_makes_no_sense_is_refused_even_if_signed(ddpm, ddpm_capture, tmp_path, seam):
    quantized = quantize(ddpm, plan="W4A4", calibration=ddpm_capture, split=True)
    saved = save_quantized(quantized, tmp_path / "run")
    changed(saved, seams={ddpm.shortcuts[0].layer: seam})
    with pytest.raises(UserError, match="damaged"):
        load_quantized(saved, ddpm)


def test_every_extra_grid_is_paid_for(ddpm, ddpm_capture):
    def size(**options) -> int:
        options = {"plan": "W4A32", **options}
        return quantize(ddpm, calibration=ddpm_capture, **options).size_bytes

    channels = sum(ddpm.denoiser.get_submodule(cut.layer).out_channels for cut in ddpm.shortcuts)
    assert size(split=True) - size() == 8 * channels
    extra = size(split=True, plan="W4A4") - size(plan="W4A4")
    assert extra == 8 * (channels + len(ddpm.shortcuts))


def test_the_table_adds_the_noise_of_both_halves(ddpm, ddpm_capture):
    quantized = quantize(ddpm, plan="W32A4", calibration=ddpm_capture, split=True)
    rows = {row.name: row for row in quantized.layers}
    for cut in ddpm.shortcuts:
        signal = noise = 0.0
        grid = quantized.qparams[cut.layer].act
        for i, tap in enumerate(("h", "skip")):
            total = ddpm_capture[f"{cut.layer}#{tap}"].total
            counts = total.histogram.counts.astype(np.int64)
            x = np.repeat(total.histogram.centers, counts).astype(np.float32)
            pair = torch.tensor(grid.scale[i]), torch.tensor(grid.zero_point[i])
            error = fake_quantize(torch.from_numpy(x), *pair, 4).numpy() - x
            signal += total.count * (total.mean**2 + total.std**2)
            noise += total.count * float((error.astype(np.float64) ** 2).mean())
        assert rows[cut.layer].sqnr_db == pytest.approx(10 * np.log10(signal / noise), abs=0.1)


def without(taken, names):
    kept = [i for i, layer in enumerate(taken.layers) if layer.name not in names]
    return replace(
        taken,
        layers=tuple(taken.layers[i] for i in kept),
        stats=tuple(taken.stats[i] for i in kept),
    )


def test_without_statistics_of_the_halves_the_weight_alone_is_split(ddpm, ddpm_capture):
    cut = ddpm.shortcuts[0]
    part = without(ddpm_capture, {f"{cut.layer}#skip"})
    quantized = quantize(ddpm, plan="W4A4", calibration=part, split=True)
    assert quantized.skipped == {cut.layer: NO_HALVES}
    grids = quantized.qparams[cut.layer]
    assert (grids.weight.seam, grids.act.seam) == (cut.channels_h, None)
    rows = {row.name: row for row in quantized.layers}
    assert (rows[cut.layer].weight_bits, rows[cut.layer].act_bits) == (4, 4)
    # What is not quantized lacks nothing.
    assert quantize(ddpm, plan="W4A32", calibration=part, split=True).skipped == {}
    halves_only = without(ddpm_capture, {cut.layer})
    assert quantize(ddpm, plan="W4A4", calibration=halves_only, split=True).skipped == {}


def test_a_grouped_convolution_keeps_one_grid(ddpm, ddpm_capture):
    cut = ddpm.shortcuts[-1]
    denoiser = assemble(ddpm, {}).denoiser
    old = denoiser.get_submodule(cut.layer)
    denoiser.get_submodule(cut.layer.removesuffix(".conv_shortcut")).conv_shortcut = nn.Conv2d(
        old.in_channels, old.out_channels, 1, groups=2
    )
    handle = ddpm.with_denoiser(denoiser)
    stats = {layer.name: ddpm_capture[layer.name].total for layer in ddpm_capture.layers}
    plan = QuantPlan.parse("W4A4", split=True)
    qparams, skipped = estimate_qparams(handle, plan, stats)
    assert skipped == {cut.layer: GROUPED}
    assert (qparams[cut.layer].weight.seam, qparams[cut.layer].act.seam) == (None, None)
    done = convert(handle, plan, qparams, method="rtn", stats=stats, skipped=skipped)
    assert torch.isfinite(prediction(done.handle)).all()


@families
def test_the_convolution_behind_the_normalization_is_split_on_request(models, captures, family):
    model = models(family)
    quantized = quantize(model, plan="W4A4", calibration=captures(family), split_norm=True)
    normed = {s.layer: s.channels_h for s in model.normed_shortcuts}
    assert normed
    split = {n: g.weight.seam for n, g in quantized.qparams.items() if g.weight and g.weight.seam}
    assert split == normed
    assert quantized.skipped == dict.fromkeys(normed, NO_HALVES)  # the capture was not asked
    asked = capture(model.with_normed_halves(), steps=2, samples=2)
    both = quantize(model, plan="W4A4", calibration=asked, split=True, split_norm=True)
    assert both.skipped == {}
    seams = normed | {s.layer: s.channels_h for s in model.shortcuts}
    found = {n: g.act.seam for n, g in both.qparams.items() if g.act and g.act.seam}
    assert found == seams


@pytest.mark.parametrize("kind", ["none", "set"])
def test_plain_rounding_observes_what_it_is_asked_to_split(ddpm, monkeypatch, kind):
    from analysis.methods import rtn

    monkeypatch.setattr(rtn, "STEPS", 2)
    monkeypatch.setattr(rtn, "SAMPLES", 2)
    chosen = None if kind == "none" else calibrate(ddpm, size=4, steps=2)
    done = quantize(ddpm, plan="W4A4", calibration=chosen, split=True, split_norm=True)
    assert done.skipped == {}
    count = sum(g.act is not None and g.act.seam is not None for g in done.qparams.values())
    assert count == 2 * len(ddpm.shortcuts)
