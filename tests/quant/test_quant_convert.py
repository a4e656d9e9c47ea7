"""Whole models: what conversion changes, what it leaves alone, what it reports."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import nn

from analysis.errors import Cancelled, UserError
from analysis.models.load import from_pipeline
from analysis.quant.assemble import assemble, quant_layers, why_not
from analysis.quant.attention import QuantAttnProcessor
from analysis.quant.estimate import NO_STATISTICS, estimate_qparams
from analysis.quant.modules import QuantConv2d, QuantLinear
from analysis.quant.plan import QuantPlan
from analysis.quant.primitives import fake_quantize
from analysis.quant.run import quantize
from analysis.quant.whatif import sqnr_db


def noise_prediction(handle) -> torch.Tensor:
    x = torch.randn(4, *handle.sample_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return handle.denoiser(x, 40).sample


def processors(denoiser) -> dict[str, type]:
    """Attention module -> the kind of its processor."""
    return {
        name: type(module.processor)
        for name, module in denoiser.named_modules()
        if isinstance(module, Attention)
    }


def distance(handle, quantized) -> float:
    return (noise_prediction(handle) - noise_prediction(quantized.handle)).square().mean().item()


@pytest.fixture(scope="module")
def w4a4(handle, tiny_capture):
    return quantize(handle, plan="W4A4", calibration=tiny_capture)


def test_float_everywhere_is_the_float_model_bit_for_bit(handle, tiny_capture):
    same = quantize(handle, plan="W32A32", calibration=tiny_capture)
    assert torch.equal(noise_prediction(same.handle), noise_prediction(handle))
    assert not quant_layers(same.handle.denoiser)
    assert same.size_bytes == same.float_size_bytes
    assert {(row.weight_bits, row.act_bits, row.sqnr_db) for row in same.layers} == {
        (32, 32, None),
        (None, 32, None),
    }


def test_fewer_bits_are_further_from_float(handle, tiny_capture, w4a4):
    w8a8 = quantize(handle, plan="W8A8", calibration=tiny_capture)
    w2a2 = quantize(handle, plan="W2A2", calibration=tiny_capture)
    errors = [distance(handle, q) for q in (w8a8, w4a4, w2a2)]
    assert 0 < errors[0] < errors[1] / 10
    assert errors[1] < errors[2]


def test_the_original_is_never_touched(handle, tiny_capture):
    def state(model) -> dict:
        return {k: v.clone() for k, v in model.denoiser.state_dict().items()}

    before, modules = state(handle), [type(m) for m in handle.denoiser.modules()]
    kinds = processors(handle.denoiser)
    prediction = noise_prediction(handle)
    converted = quantize(handle, plan="W2A2", calibration=tiny_capture).handle
    with torch.no_grad():
        for parameter in converted.denoiser.parameters():
            parameter.fill_(7.0)
    after = state(handle)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert modules == [type(m) for m in handle.denoiser.modules()]
    assert processors(handle.denoiser) == kinds
    assert torch.equal(noise_prediction(handle), prediction)
    assert converted.pipeline is not handle.pipeline


def test_every_layer_and_every_attention_is_converted(handle, w4a4):
    denoiser = w4a4.handle.denoiser
    plain = [
        name
        for name, module in denoiser.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        and not isinstance(module, QuantConv2d | QuantLinear)
    ]
    assert plain == []
    assert set(processors(denoiser).values()) == {QuantAttnProcessor}
    assert w4a4.skipped == {}
    assert [row.name for row in w4a4.layers] == [layer.name for layer in handle.layers]
    assert not any(module.training for module in denoiser.modules())


def test_a_module_with_two_names_is_replaced_under_both(handle, w4a4):
    copy = assemble(handle, {}).denoiser
    sampler = copy.down_blocks[0].downsamplers[0]
    sampler.also_known_as = sampler.conv
    converted = assemble(handle.with_denoiser(copy), w4a4.qparams).denoiser
    twin = converted.down_blocks[0].downsamplers[0]
    assert isinstance(twin.conv, QuantConv2d)
    assert twin.also_known_as is twin.conv


def test_attention_is_left_alone_where_none_of_it_is_quantized(handle, tiny_capture):
    weights_only = quantize(handle, plan="W4A32", calibration=tiny_capture)
    assert QuantAttnProcessor not in processors(weights_only.handle.denoiser).values()
    some = quantize(
        handle, plan="W32A32", calibration=tiny_capture, overrides={"mid_block*": "W32A8"}
    )
    found = {
        name.split(".")[0]
        for name, kind in processors(some.handle.denoiser).items()
        if kind is QuantAttnProcessor
    }
    assert found == {"mid_block"}


def test_the_softmax_grid_starts_at_zero(w4a4):
    grid = w4a4.qparams["mid_block.attentions.0#softmax"].act
    assert (grid.bits, int(grid.zero_point)) == (8, 0)
    assert float(grid.scale) * 255 <= 1.0 + 1e-6


def test_the_table_holds_bits_and_combined_noise(handle, tiny_capture, w4a4):
    rows = {row.name: row for row in w4a4.layers}
    assert (rows["conv_in"].weight_bits, rows["conv_in"].act_bits) == (8, 8)
    name = "mid_block.resnets.0.conv1"
    assert (rows[name].weight_bits, rows[name].act_bits) == (4, 4)
    assert rows["mid_block.attentions.0#q"].weight_bits is None

    weight = handle.denoiser.get_submodule(name).weight.detach()
    rounded = w4a4.handle.denoiser.get_submodule(name).weight
    weight_noise = ((weight - rounded).square().sum() / weight.square().sum()).item()
    total, grid = tiny_capture[name].total, w4a4.qparams[name].act
    x = (
        torch.from_numpy(total.histogram.centers)
        .float()
        .repeat_interleave(torch.from_numpy(total.histogram.counts.astype("int64")))
    )
    act_noise = (x - fake_quantize(x, *grid.tensors(), 4)).square().mean().item()
    act_noise /= total.mean**2 + total.std**2
    expected = float(sqnr_db(1.0, weight_noise + act_noise))
    assert rows[name].sqnr_db == pytest.approx(expected, abs=0.1)
    assert all(row.sqnr_db is None or math.isfinite(row.sqnr_db) for row in w4a4.layers)


def test_sizes_count_packed_weights_and_grids(handle, tiny_capture):
    w4 = quantize(handle, plan="W4A32", edge_bits=None)
    names = [layer.name for layer in handle.layers if layer.kind in ("conv", "linear")]
    weights = [handle.denoiser.get_submodule(name).weight for name in names]
    numbers = sum(w.numel() for w in weights)
    rest = sum(p.numel() for p in handle.denoiser.parameters()) - numbers
    packed = sum(-(-w.numel() // 2) for w in weights)
    channels = sum(w.shape[0] for w in weights)
    assert w4.float_size_bytes == 4 * (numbers + rest)
    assert w4.size_bytes == packed + 8 * channels + 4 * rest
    w4a4 = quantize(handle, plan="W4A4", edge_bits=None, calibration=tiny_capture)
    assert w4a4.size_bytes == w4.size_bytes + 8 * len(handle.layers)


def test_layers_without_statistics_are_listed(handle, tiny_capture):
    names = [layer.name for layer in tiny_capture.layers]
    kept = [i for i, name in enumerate(names) if not name.startswith("mid_block")]
    part = replace(
        tiny_capture,
        layers=tuple(tiny_capture.layers[i] for i in kept),
        stats=tuple(tiny_capture.stats[i] for i in kept),
    )
    quantized = quantize(handle, plan="W4A4", calibration=part)
    missing = [layer.name for layer in handle.layers if layer.name.startswith("mid_block")]
    assert missing
    assert quantized.skipped == dict.fromkeys(missing, NO_STATISTICS)
    kinds = processors(quantized.handle.denoiser)
    assert kinds.pop("mid_block.attentions.0") is AttnProcessor2_0
    assert set(kinds.values()) == {QuantAttnProcessor}
    rows = {row.name: row for row in quantized.layers}
    assert (rows["mid_block.resnets.0.conv1"].weight_bits, rows[missing[0]].act_bits) == (4, 32)


class Doubled(nn.Linear):
    """A linear map with a secret."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_layers_that_compute_more_are_left_alone_and_listed(handle):
    copy = assemble(handle, {}).denoiser
    old = copy.time_embedding.linear_1
    copy.time_embedding.linear_1 = Doubled(old.in_features, old.out_features)
    strange = handle.with_denoiser(copy)
    quantized = quantize(strange, plan="W4A32")
    assert quantized.skipped == {
        "time_embedding.linear_1": "a Doubled may compute more than its weight says"
    }
    assert isinstance(quantized.handle.denoiser.time_embedding.linear_1, Doubled)


def test_layers_that_never_ran_are_listed(handle):
    copy = assemble(handle, {}).denoiser
    copy.spare = nn.Linear(2, 2)
    spare = from_pipeline(handle.with_denoiser(copy).pipeline, "spare")
    quantized = quantize(spare, plan="W4A32")
    assert quantized.skipped == {"spare": "it took no part when the model was run"}


def test_normalized_queries_have_no_known_range(handle):
    copy = assemble(handle, {}).denoiser
    copy.mid_block.attentions[0].norm_q = nn.LayerNorm(8)
    query = next(layer for layer in handle.layers if layer.name == "mid_block.attentions.0#q")
    assert why_not(copy, query) == "its range is known before norm_q only"
    assert why_not(handle.denoiser, query) is None


def test_weights_of_a_method_take_the_place_of_the_models_own(handle):
    name = "mid_block.resnets.0.conv1"
    plan = QuantPlan.parse("W4A32")
    qparams, _ = estimate_qparams(handle, plan, {})
    weight = handle.denoiser.get_submodule(name).weight.detach()
    converted = assemble(handle, qparams, {name: weight * 0.5})
    expected = fake_quantize(weight * 0.5, *qparams[name].weight.tensors(), 4)
    assert torch.equal(converted.denoiser.get_submodule(name).weight, expected)


def test_stopping_and_progress(handle, tiny_capture):
    seen: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, text: str) -> None:
        seen.append((done, total, text))

    quantize(handle, plan="W4A4", calibration=tiny_capture, progress=progress)
    total = len(handle.layers)
    assert [done for done, _, _ in seen] == list(range(total + 1))
    assert {t for _, t, _ in seen} == {total}
    seen.clear()
    with pytest.raises(Cancelled):
        quantize(
            handle,
            plan="W4A4",
            calibration=tiny_capture,
            progress=progress,
            should_stop=lambda: len(seen) >= 3,
        )
    assert len(seen) == 3


def test_a_weight_that_is_not_finite_is_named(handle):
    copy = assemble(handle, {}).denoiser
    with torch.no_grad():
        copy.conv_out.weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match="conv_out cannot be quantized: the tensor holds NaN"):
        quantize(handle.with_denoiser(copy), plan="W4A32")
