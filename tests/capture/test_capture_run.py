"""A whole capture: what it leaves alone, what it counts, what it refuses."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch

import analysis.capture.run as module
from analysis.capture.run import capture, observed_layers, statistics_megabytes
from analysis.errors import UserError
from analysis.models.load import from_pipeline
from analysis.models.trajectory import sample, sampling_spec, trajectory

families = pytest.mark.parametrize("family", ["ddpm", "sd", "sdxl"])


def inputs_by_hand(model, name: str, spec) -> list[np.ndarray]:
    """What a layer was given at each step, through a hook of the test's own."""
    seen: list[np.ndarray] = []
    layer = model.denoiser.get_submodule(name)
    hook = layer.register_forward_pre_hook(lambda m, args: seen.append(args[0].double().numpy()))
    list(trajectory(model, spec))
    hook.remove()
    return seen


@families
@pytest.mark.parametrize("exact", [False, True])
def test_no_bit_of_the_samples_changes(models, family, exact, monkeypatch):
    model = models(family)
    captured: list[torch.Tensor] = []

    def watched(*args, **kwargs):
        for step in trajectory(*args, **kwargs):
            yield step
        captured.append(step.x_next)

    spec = sampling_spec(model, 4, 3, seed=7)
    plain = [s.x_next for s in trajectory(model, spec, 0, 2)][-1:]
    plain += [s.x_next for s in trajectory(model, spec, 2, 1)][-1:]
    before = torch.get_rng_state()
    monkeypatch.setattr(module, "trajectory", watched)
    capture(model, steps=4, samples=3, seed=7, batch=2, exact=exact)
    assert torch.equal(torch.get_rng_state(), before)
    assert [torch.equal(a, b) for a, b in zip(captured, plain, strict=True)] == [True, True]


@families
@pytest.mark.parametrize("name", ["conv_in", "mid_block.resnets.0.conv1", "conv_out"])
def test_statistics_are_those_of_the_layers_input(models, family, name):
    model = models(family)
    done = capture(model, steps=3, samples=2, layers=name, exact=True)
    inputs = inputs_by_hand(model, name, sampling_spec(model, 3, 2))
    assert len(inputs) == 3
    for i, x in enumerate(inputs):
        at = done[name].at(i)
        assert (at.count, at.min, at.max) == (x.size, x.min(), x.max())
        assert at.mean == pytest.approx(x.mean(), rel=1e-4, abs=1e-5)
        assert at.std == pytest.approx(x.std(), rel=1e-4)
        assert np.array_equal(at.channel_max, x.max(axis=(0, 2, 3)))
        expected, _ = np.histogram(x, at.histogram.edges)
        assert np.array_equal(at.histogram.counts, expected)


@families
def test_exact_mode_counts_every_value(models, family):
    done = capture(models(family), steps=2, samples=2, exact=True)
    assert done.exact
    for stats in done.stats:
        assert np.array_equal(stats.histogram.counts.sum(axis=1), stats.count)


@families
def test_drawn_histograms_share_edges_with_all_there_is(models, family):
    done = capture(models(family), steps=2, samples=2)
    assert not done.exact
    for stats in done.stats:
        sampled = stats.histogram.counts.sum(axis=1)
        assert (sampled > 0).all()
        assert (sampled <= stats.count).all()
        assert (stats.histogram.edges[0] <= stats.min).all()
        assert (stats.max < stats.histogram.edges[-1]).all()


@families
def test_every_layer_operand_and_half_is_captured(models, family):
    model = models(family)
    done = capture(model, steps=2, samples=1)
    halves = [f"{s.layer}#{tap}" for s in model.shortcuts for tap in ("h", "skip")]
    assert [layer.name for layer in done.layers] == [x.name for x in model.layers] + halves
    assert done.shortcuts == model.shortcuts
    assert done.meta == {"never_ran": []}
    assert done.model_digest == model.digest
    assert done.timesteps.tolist() == [s.timestep for s in trajectory(model, done.spec)]
    assert done.spec == sampling_spec(model, 2, 1)
    assert done.seconds > 0
    assert done.peak_mb > 50
    for shortcut in done.shortcuts:
        whole, h, skip = (done[shortcut.layer + tap] for tap in ("", "#h", "#skip"))
        assert h.channel_max.shape[1] == shortcut.channels_h
        assert skip.channel_max.shape[1] == shortcut.channels_skip
        both = np.concatenate([h.channel_max, skip.channel_max], axis=1)
        assert np.array_equal(both, whole.channel_max)
        assert np.array_equal(h.count + skip.count, whole.count)


def test_guidance_doubles_the_count(sd):
    guided, plain = (
        capture(sd, steps=2, samples=2, guidance_scale=g, prompt="a cat") for g in (3.0, 1.0)
    )
    for layer in plain.layers:
        assert np.array_equal(guided[layer.name].count, 2 * plain[layer.name].count), layer.name


@pytest.mark.parametrize(
    "pattern", ["conv_in", "*attentions*", "*conv_shortcut", "*#softmax", "mid*,conv_out", "*#h"]
)
def test_a_glob_chooses_layers_and_both_halves_of_a_shortcut(ddpm, ddpm_capture, pattern):
    done = capture(ddpm, steps=4, samples=3, layers=pattern)
    names = [layer.name for layer in done.layers]
    matched = {
        layer.name
        for layer in observed_layers(ddpm, None)
        if any(fnmatchcase(layer.name, glob) for glob in pattern.split(","))
    }
    cut = {s.layer for s in ddpm.shortcuts if any(n.split("#")[0] == s.layer for n in matched)}
    assert set(names) == matched | {f"{name}#{tap}" for name in cut for tap in ("h", "skip")}
    assert {s.layer for s in done.shortcuts} == cut
    for name in names:  # what is left out changes nothing about what is kept
        assert np.array_equal(done[name].max, ddpm_capture[name].max)
        assert np.array_equal(done[name].histogram.counts, ddpm_capture[name].histogram.counts)


def test_the_same_seed_gives_the_same_statistics(ddpm, ddpm_capture):
    again = capture(ddpm, steps=4, samples=3, seed=0)
    other = capture(ddpm, steps=4, samples=3, seed=1)
    for a, b, c in zip(again.stats, ddpm_capture.stats, other.stats, strict=True):
        for column in ("count", "min", "max", "mean", "std", "channel_min", "channel_max"):
            assert np.array_equal(getattr(a, column), getattr(b, column))
        assert np.array_equal(a.histogram.counts, b.histogram.counts)
        assert np.array_equal(a.histogram.edges, b.histogram.edges)
        assert np.array_equal(a.count, c.count)
    assert any(
        not np.array_equal(a.mean, c.mean) for a, c in zip(again.stats, other.stats, strict=True)
    )


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    ("exact", "most"),
    [
        (True, 0.002),  # float noise may carry a few values over an edge
        (False, 0.07),  # a draw takes other positions where memory lies differently
    ],
)
def test_the_batch_size_changes_next_to_nothing(ddpm, histogram_lag, batch, exact, most):
    whole = capture(ddpm, steps=2, samples=3, seed=0, exact=exact)
    parts = capture(ddpm, steps=2, samples=3, seed=0, exact=exact, batch=batch)
    for layer in parts.layers:
        a, b = parts[layer.name], whole[layer.name]
        spread = b.total.std + 1e-6
        assert np.array_equal(a.count, b.count)
        for column in ("min", "max", "mean", "std", "channel_min", "channel_max"):
            gap = np.abs(getattr(a, column) - getattr(b, column)).max()
            assert gap < 1e-3 * spread, (layer.name, column)
        assert np.array_equal(a.histogram.counts.sum(axis=1), b.histogram.counts.sum(axis=1))
        for i in range(2):
            assert histogram_lag(a.at(i).histogram, b.at(i).histogram) <= most, layer.name


def test_activations_that_are_no_numbers_name_the_layer_and_the_timestep(new_pipeline):
    pipeline = new_pipeline("ddpm")
    with torch.no_grad():
        pipeline.unet.mid_block.resnets[0].conv1.bias[0] = float("nan")
    model = from_pipeline(pipeline, "broken")
    first = next(iter(trajectory(model, sampling_spec(model, 4, 1)))).timestep
    with pytest.raises(UserError) as refused:
        capture(model, steps=4, samples=1)
    assert str(refused.value) == (
        "The activations of mid_block.resnets.0.conv2 are not finite at timestep "
        f"{first:g}; use more bits or fewer quantized layers, or check the model's weights."
    )


def test_a_pattern_that_matches_nothing_is_refused_before_any_work(ddpm):
    def never(*args) -> None:
        raise AssertionError("sampling has begun")

    with pytest.raises(UserError, match="The layer pattern 'nothing' matches none of the"):
        capture(ddpm, steps=2, samples=1, layers="conv_in,nothing", progress=never)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"bins": 3}, "bins must be a whole number of 4 or more; got 3."),
        ({"bins": -1}, "bins must be a whole number of 4 or more; got -1."),
        ({"bins": 8.0}, "bins must be a whole number of 4 or more; got 8.0."),
        ({"batch": 0}, "batch must be a whole number of 1 or more; got 0."),
        ({"batch": True}, "batch must be a whole number of 1 or more; got True."),
    ],
)
def test_impossible_bins_and_batches_are_one_sentence(ddpm, wrong, sentence):
    with pytest.raises(UserError) as refused:
        capture(ddpm, steps=2, samples=1, **wrong)
    assert str(refused.value) == sentence


def test_progress_ends_at_its_total(ddpm):
    seen = []
    capture(ddpm, steps=3, samples=3, batch=2, progress=lambda *args: seen.append(args))
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert {total for _, total, _ in seen} == {6}
    assert all(text.startswith("timestep ") for _, _, text in seen)


def test_progress_counts_both_calls_of_a_second_order_step(ddpm):
    seen = []
    tell = {"progress": lambda *args: seen.append(args)}
    capture(ddpm, steps=3, samples=3, batch=2, scheduler="heun", **tell)
    sample(ddpm, sampling_spec(ddpm, 3, 3, scheduler="heun"), batch=2, **tell)
    assert [done for done, _, _ in seen] == [*range(1, 11)] * 2  # 2 * 3 - 1 calls, two batches
    assert {total for _, total, _ in seen} == {10}


def test_the_estimate_of_memory_is_about_the_size_of_the_statistics(ddpm):
    done = capture(ddpm, steps=20, samples=1)
    size = sum(
        4 * s.histogram.counts.size + s.channel_min.nbytes + s.channel_max.nbytes + 24 * len(s.mean)
        for s in done.stats
    )
    assert statistics_megabytes(ddpm, 20) == pytest.approx(size / 1e6, rel=0.1)
