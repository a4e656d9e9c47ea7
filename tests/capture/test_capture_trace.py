"""Hooks: what they show, against what the model was given; and that they go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from analysis.capture import softmax
from analysis.capture.run import capture, observed_layers
from analysis.capture.softmax import Scores
from analysis.capture.trace import observed
from analysis.errors import Cancelled, UserError
from analysis.models.trajectory import sampling_spec, trajectory
from analysis.quant.run import quantize

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])
Shown = list[tuple[str, float, torch.Tensor]]


def hooks(denoiser: nn.Module) -> int:
    """Hooks of torch's, and modules whose `forward` is not their class's."""
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in vars(m))
        for m in denoiser.modules()
    )


def shown(model, names: list[str] | None = None, **options) -> Shown:
    """(name, timestep, tensor) of everything that is shown during two steps of two samples."""
    seen: Shown = []
    now = [0.0]

    def observe(seers, x) -> None:
        x = x.tensor() if isinstance(x, Scores) else x
        for layer, part in seers:
            tensor = x if part is None else x[:, part]
            seen.append((layer.name, now[0], tensor.detach().clone()))

    layers = [x for x in observed_layers(model, None) if names is None or x.name in names]

    def on_timestep(timestep: float) -> None:
        now[0] = timestep

    with observed(model.denoiser, layers, model.shortcuts, observe, on_timestep):
        list(trajectory(model, sampling_spec(model, 2, 2, **options)))
    return seen


@families
def test_every_layer_is_shown_once_a_pass(models, family):
    model = models(family)
    seen = shown(model)
    names = sorted(layer.name for layer in observed_layers(model, None))
    for timestep in {t for _, t, _ in seen}:
        assert sorted(name for name, t, _ in seen if t == timestep) == names
    assert len({t for _, t, _ in seen}) == 2


@families
def test_the_timestep_is_the_denoisers_own_argument(models, family):
    model = models(family)
    expected = [step.timestep for step in trajectory(model, sampling_spec(model, 2, 2))]
    assert list(dict.fromkeys(t for _, t, _ in shown(model, ["conv_in"]))) == expected


@pytest.mark.parametrize("timestep", [7, 7.0, torch.tensor(7), torch.tensor([7.0, 7.0])])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_timestep_may_be_given_in_any_form(ddpm, timestep, by_name):
    heard: list[float] = []
    x = torch.zeros(2, *ddpm.sample_shape)
    with torch.no_grad(), observed(ddpm.denoiser, [], [], lambda *a: None, heard.append):
        ddpm.denoiser(x, timestep=timestep) if by_name else ddpm.denoiser(x, timestep)
    assert heard == [7.0]


@families
def test_halves_are_the_two_tensors_that_were_joined(models, family, monkeypatch):
    model = models(family)
    joined: list[tuple[torch.Tensor, torch.Tensor]] = []
    cat = torch.cat

    def noting(tensors, dim=0, **rest):
        tensors = list(tensors)
        if dim == 1 and len(tensors) == 2 and tensors[0].ndim == 4:
            joined.append((tensors[0].clone(), tensors[1].clone()))
        return cat(tensors, dim=dim, **rest)

    monkeypatch.setattr(torch, "cat", noting)
    seen = shown(model, [f"{s.layer}#{t}" for s in model.shortcuts for t in ("h", "skip")])
    assert len(joined) == 2 * len(model.shortcuts)
    by_name = {(name, t): tensor for name, t, tensor in seen}
    timesteps = list(dict.fromkeys(t for _, t, _ in seen))
    pairs = [(s.layer, t) for t in timesteps for s in model.shortcuts]
    for (layer, t), (h, skip) in zip(pairs, joined, strict=True):
        assert torch.equal(by_name[f"{layer}#h", t], h)
        assert torch.equal(by_name[f"{layer}#skip", t], skip)


@families
def test_softmax_is_attentions_own(models, family):
    """Against the probabilities that diffusers works out when asked for them."""
    model = models(family)
    names = [n for n, m in model.denoiser.named_modules() if hasattr(m, "to_v")]
    seen = {(n, t): x for n, t, x in shown(model)}
    for name in names:
        attention = model.denoiser.get_submodule(name)
        for timestep in {t for _, t in seen}:
            q, k, softmax = (seen[f"{name}#{tap}", timestep] for tap in ("q", "k", "softmax"))
            query, key = (attention.head_to_batch_dim(x) for x in (q, k))
            own = attention.get_attention_scores(query, key)  # [N * heads, L, S]
            assert softmax.shape == (len(q), attention.heads, q.shape[1], k.shape[1])
            torch.testing.assert_close(softmax.flatten(0, 1), own, atol=1e-6, rtol=1e-5)


def test_softmax_of_many_positions_is_shown_in_parts(sd, monkeypatch):
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1#softmax"
    whole = shown(sd, [name])
    _, heads, rows, length = whole[0][2].shape
    assert rows == length == 64
    monkeypatch.setattr(softmax, "MOST_SCORES", heads * length * 24)  # 24 query rows at a time
    parts = shown(sd, [name])
    assert [x.shape[2] for _, _, x in parts] == [22, 21, 21] * 2
    for i, (_, _, expected) in enumerate(whole):
        got = torch.cat([x for _, _, x in parts[3 * i : 3 * i + 3]], dim=2)
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)


def test_a_quantized_model_shows_the_same_tensors(ddpm, ddpm_capture):
    quantized = quantize(ddpm, plan="W8A8", calibration=ddpm_capture).handle
    float_, rounded = (
        capture(model, steps=3, samples=2, exact=True) for model in (ddpm, quantized)
    )
    assert rounded.layers == float_.layers
    assert rounded.shortcuts == float_.shortcuts
    for layer, stats in zip(rounded.layers, rounded.stats, strict=True):
        assert np.array_equal(stats.count, float_[layer.name].count)
        assert stats.channel_min.shape == float_[layer.name].channel_min.shape
        # Eight bits change little; a tap at the wrong place would change a lot.
        spread = float_[layer.name].total.std + 1e-3
        assert np.abs(stats.mean - float_[layer.name].mean).max() < 0.3 * spread, layer.name


class TestHooksGo:
    def test_at_the_end(self, ddpm):
        assert hooks(ddpm.denoiser) == 0
        with observed(ddpm.denoiser, ddpm.layers, ddpm.shortcuts, print, print):
            watched = {layer.module for layer in ddpm.layers if layer.tap == "input"}
            assert hooks(ddpm.denoiser) > len(watched)
        assert hooks(ddpm.denoiser) == 0
        capture(ddpm, steps=2, samples=1)
        assert hooks(ddpm.denoiser) == 0

    @pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, UserError])
    def test_after_an_exception(self, ddpm, error):
        def broken(*args) -> None:
            raise error("in the middle")

        with pytest.raises(error, match="in the middle"):
            capture(ddpm, steps=3, samples=1, progress=broken)
        assert hooks(ddpm.denoiser) == 0

    def test_after_an_exception_inside_the_model(self, ddpm):
        def broken(seers, x) -> None:
            raise ArithmeticError("while observing")

        with (
            pytest.raises(ArithmeticError, match="while observing"),
            observed(ddpm.denoiser, ddpm.layers, ddpm.shortcuts, broken, lambda t: None),
        ):
            list(trajectory(ddpm, sampling_spec(ddpm, 2, 1)))
        assert hooks(ddpm.denoiser) == 0

    def test_after_cancel(self, ddpm):
        calls = []

        def stop() -> bool:
            assert hooks(ddpm.denoiser) > 0
            calls.append(1)
            return len(calls) == 2

        with pytest.raises(Cancelled):
            capture(ddpm, steps=4, samples=1, should_stop=stop)
        assert len(calls) == 2
        assert hooks(ddpm.denoiser) == 0

    def test_a_forward_that_was_put_there_before_is_put_back(self, ddpm):
        layer, calls = ddpm.denoiser.conv_in, []

        def own(x):
            calls.append(x)
            return type(layer).forward(layer, x)

        layer.forward = own
        try:
            capture(ddpm, steps=2, samples=1)
            assert vars(layer)["forward"] is own
            assert len(calls) == 2
        finally:
            del layer.forward

    def test_when_a_layer_cannot_be_found(self, ddpm):
        from analysis.records import LayerRef

        missing = LayerRef("no.such.layer", "conv")
        with (
            pytest.raises(KeyError),
            observed(ddpm.denoiser, [*ddpm.layers, missing], ddpm.shortcuts, print, print),
        ):
            pass
        assert hooks(ddpm.denoiser) == 0
