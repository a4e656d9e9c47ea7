"""What is drawn for histograms, and what becomes of values that are no numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analysis.capture.direct import Sight
from analysis.capture.recorder import Recorder, finished
from analysis.errors import UserError
from analysis.records import LayerRef
from tests.capture.conftest import alone

CONV = LayerRef("net.conv", "conv")
MISS = 1e-9  # chance that a fair draw fails the bound below


def adversarial(kind: str) -> torch.Tensor:
    """Data [8, 16, 32, 32] that a careless sample would misjudge."""
    random = np.random.default_rng(0)
    shape = (8, 16, 32, 32)
    x = np.sort(random.standard_normal(math.prod(shape))).reshape(shape)
    if kind == "one loud sample":
        x[3] += 50
    elif kind == "one loud channel":
        x = random.standard_normal(shape)
        x[:, 5] *= 100
    elif kind == "stripes":
        x = np.where(np.arange(32) % 2 == 0, 1.0, -1.0) * np.ones(shape)
    elif kind == "corner":
        x = np.zeros(shape)
        x[..., :8, :8] = random.standard_normal((8, 16, 8, 8)) + 3
    elif kind == "heavy tail":
        x = random.standard_t(2, shape)
    return torch.from_numpy(x.astype(np.float32))


KINDS = ("sorted", "one loud sample", "one loud channel", "stripes", "corner", "heavy tail")


@pytest.mark.parametrize("layout", ["planes", "channels last"])
@pytest.mark.parametrize("kind", KINDS)
def test_drawn_histograms_are_within_the_bound_of_the_exact_ones(record, kind, layout):
    """Dvoretzky, Kiefer & Wolfowitz (1956), with the constant of Massart (1990)."""
    x = adversarial(kind)
    if layout == "channels last":
        x = x.to(memory_format=torch.channels_last)
    drawn = record([x], [4, 4], drawn=8_192).at(0)
    assert drawn.sampled == 8_192 < drawn.count == x.numel()
    edges = drawn.histogram.edges
    exact, _ = np.histogram(x.double().numpy(), edges)
    gap = np.abs(np.cumsum(drawn.histogram.counts) / 8_192 - np.cumsum(exact) / x.numel()).max()
    assert gap <= math.sqrt(math.log(2 / MISS) / (2 * 8_192))


def test_the_bound_that_is_told(record):
    x = torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert record([x], [8], drawn=2_048).share_bound(0) == pytest.approx(0.035966, rel=1e-4)
    assert record([x], [8], drawn=None).share_bound(0) == 0


def test_every_sample_and_channel_has_the_same_share(record):
    """Each value names its own sample and channel, so the histogram shows where it was drawn."""
    place = torch.arange(4 * 8.0).reshape(4, 8, 1, 1).expand(4, 8, 16, 16).contiguous()
    counts = np.zeros(32)
    for seed in range(4):
        histogram = record([place], [4], drawn=4_096, seed=seed).at(0).histogram
        counts += np.histogram(
            np.repeat(histogram.edges[:-1], histogram.counts), bins=32, range=(-0.5, 31.5)
        )[0]
    assert counts.reshape(4, 8).sum(axis=1).tolist() == [4_096] * 4
    expected = 4 * 4_096 / 32
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)


def test_the_draw_depends_on_the_size_and_the_seed_and_not_on_the_layers_name(record):
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    first = record([x], drawn=64).histogram.counts
    again = record([x], drawn=64).histogram.counts
    seeded = record([x], drawn=64, seed=1).histogram.counts
    named = record([x], drawn=64, layer=LayerRef("net.other", "conv")).histogram.counts
    assert np.array_equal(first, again)
    assert not np.array_equal(first, seeded)
    assert np.array_equal(first, named)


def test_a_sample_with_few_values_is_counted_in_full(record):
    x = torch.arange(2 * 10.0).reshape(2, 10, 1, 1)
    histogram = record([x], drawn=20).at(0).histogram
    exact, _ = np.histogram(x.numpy(), histogram.edges)
    assert histogram.counts.tolist() == exact.tolist()


def test_every_step_is_drawn_alike(record):
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    counts = record([x, x, x], drawn=64).histogram.counts
    assert np.array_equal(counts[0], counts[1])
    assert np.array_equal(counts[0], counts[2])


def test_guidance_shows_each_sample_twice(record):
    """A doubled batch of three: the same positions in both halves."""
    x = torch.randn(3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    recorder = Recorder(np.array([1.0]), 3, 0, 512, 60)
    recorder.begin_batch(0, 3)
    recorder.begin_pass(1.0)
    recorder.observe(alone(CONV), torch.cat([x, x]))
    recorder.flush()
    doubled = finished(recorder, [CONV])[1][0]
    single = record([x], layer=CONV, drawn=60)
    assert doubled.count.tolist() == [2 * x.numel()]
    assert np.array_equal(doubled.histogram.counts, 2 * single.histogram.counts)


@pytest.mark.parametrize("drawn", [None, 64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 300, 300)])
def test_a_value_that_is_no_number_names_its_layer_and_timestep(record, bad, shape, drawn):
    steps = [torch.ones(shape) for _ in range(3)]
    steps[1][1, 2, 3, 3] = bad
    with pytest.raises(UserError) as refused:
        record(steps, [2], drawn=drawn)
    assert str(refused.value) == (
        "The activations of net.conv are not finite at timestep 2; use more bits or fewer "
        "quantized layers, or check the model's weights."
    )


def test_layers_that_share_a_tensor_get_equal_statistics():
    """As to_q, to_k and to_v do."""
    names = ["net.to_q", "net.to_k", "net.to_v"]
    layers = [LayerRef(name, "linear") for name in names]
    recorder = Recorder(np.array([2.0, 1.0]), 2, 0, 512, None)
    recorder.begin_batch(0, 2)
    for timestep in (2.0, 1.0):
        x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(int(timestep)))
        recorder.begin_pass(timestep)
        for layer in layers:
            recorder.observe(alone(layer), x)
        recorder.flush()
    kept, stats, _ = finished(recorder, layers)
    assert kept == layers
    for one in stats[1:]:
        assert np.array_equal(one.mean, stats[0].mean)
        assert np.array_equal(one.histogram.counts, stats[0].histogram.counts)


def test_a_tensor_that_is_written_to_later_is_seen_as_it_was():
    """An activation in place, behind the layer, must not reach into the statistics."""
    recorder = Recorder(np.array([3.0, 2.0, 1.0]), 2, 0, 512, None)
    recorder.begin_batch(0, 2)
    for timestep in (3.0, 2.0, 1.0):
        x = torch.full((2, 3, 4, 4), timestep)
        recorder.begin_pass(timestep)
        recorder.observe(alone(CONV), x)
        x.mul_(-100)
        recorder.flush()
    assert finished(recorder, [CONV])[1][0].mean.tolist() == [3, 2, 1]


@pytest.mark.parametrize("watched", [True, False])
def test_a_tensor_that_is_written_to_between_two_layers_is_looked_at_again(watched):
    """The very same tensor, but not the same values; inference tensors tell nobody."""
    first, second = LayerRef("net.first", "conv"), LayerRef("net.second", "conv")
    recorder = Recorder(np.array([1.0]), 2, 0, 512, None)
    recorder.begin_batch(0, 2)
    recorder.begin_pass(1.0)
    with torch.inference_mode(not watched):
        x = torch.ones(2, 3, 4, 4)
        recorder.observe(alone(first), x)
        recorder.observe(alone(second), x.mul_(5))
    recorder.flush()
    stats = finished(recorder, [first, second])[1]
    assert [float(one.mean[0]) for one in stats] == [1, 5]
    assert [float(one.max[0]) for one in stats] == [1, 5]


def test_what_projections_put_out_does_not_part_those_that_share_a_tensor(monkeypatch):
    """Attention is shown as to_q, its output, to_k, its output, to_v, its output."""
    looks = []
    # With the kernels, and without; what is known comes third or last.
    for owner, way, at in ((Sight, "take", 2), (Recorder, "_reduce", 3)):
        done = getattr(owner, way)
        spied = lambda *args, done=done, at=at: (looks.append(args[at] is None), done(*args))[1]  # noqa: E731
        monkeypatch.setattr(owner, way, spied)
    recorder = Recorder(np.array([2.0, 1.0]), 2, 0, 512, 8)
    recorder.begin_batch(0, 2)
    inputs = [LayerRef(f"net.to_{tap}", "linear") for tap in "qkv"]
    outputs = [LayerRef(f"net#{tap}", "attention", tap) for tap in "qkv"]
    layers = [layer for pair in zip(inputs, outputs, strict=True) for layer in pair]
    for timestep in (2.0, 1.0):
        recorder.begin_pass(timestep)
        x = torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(int(timestep)))
        for i, layer in enumerate(layers):
            recorder.observe(alone(layer), x * 2 if i % 2 else x)
        recorder.flush()
    assert looks == [True, True, False, True, False, True] * 2  # who had to look for himself
    stats = finished(recorder, layers)[1]
    assert all(np.array_equal(one.channel_max, stats[0].channel_max) for one in stats[::2])
    assert all(np.array_equal(one.channel_max, 2 * stats[0].channel_max) for one in stats[1::2])


HALVES = LayerRef("net.up#h", "conv", "h"), LayerRef("net.up#skip", "conv", "skip")


@pytest.mark.parametrize("whole", [True, False])
def test_halves_are_seen_with_the_whole_as_they_are_alone(record, whole):
    up, (h, skip) = LayerRef("net.up", "conv"), HALVES
    seers = ((h, slice(0, 2)), (skip, slice(2, None)))
    if whole:
        seers = ((up, None), *seers)
    recorder = Recorder(np.array([2.0, 1.0]), 2, 0, 512, 40)
    recorder.begin_batch(0, 2)
    random = torch.Generator().manual_seed(0)
    steps = [torch.randn(2, 5, 8, 8, generator=random) for _ in range(2)]
    for timestep, x in zip((2.0, 1.0), steps, strict=True):
        recorder.begin_pass(timestep)
        recorder.observe(seers, x)
        recorder.flush()
    for (layer, part), stats in zip(
        seers, finished(recorder, [s for s, _ in seers])[1], strict=True
    ):
        one = record(steps, layer=layer, part=part, drawn=40)
        assert np.array_equal(stats.channel_min, one.channel_min)
        assert np.array_equal(stats.histogram.counts, one.histogram.counts)
        assert np.array_equal(stats.mean, one.mean)


def test_what_is_no_number_names_the_half_that_holds_it():
    recorder = Recorder(np.array([1.0]), 1, 0, 512, 8)
    recorder.begin_batch(0, 1)
    recorder.begin_pass(1.0)
    x = torch.ones(1, 5, 4, 4)
    x[0, 3, 1, 1] = math.nan
    with pytest.raises(UserError, match=r"activations of net\.up#skip are not finite"):
        recorder.observe(((HALVES[0], slice(0, 2)), (HALVES[1], slice(2, None))), x)


def test_a_layer_that_misses_a_step_is_told_apart():
    other = LayerRef("net.sometimes", "conv")
    recorder = Recorder(np.array([2.0, 1.0]), 1, 0, 512, None)
    recorder.begin_batch(0, 1)
    for timestep in (2.0, 1.0):
        recorder.begin_pass(timestep)
        recorder.observe(alone(CONV), torch.ones(1, 1, 2, 2))
        if timestep == 1.0:
            recorder.observe(alone(other), torch.ones(1, 1, 2, 2))
        recorder.flush()
    kept, stats, absent = finished(recorder, [CONV, other, LayerRef("net.never", "conv")])
    assert kept == [CONV]
    assert len(stats) == 1
    assert absent == ["net.sometimes", "net.never"]


@pytest.mark.parametrize("offset", [0.0, 1e-4, -1e-4])
def test_a_pass_counts_for_the_nearest_timestep(offset):
    recorder = Recorder(np.array([900.5, 3.25]), 1, 0, 512, None)
    recorder.begin_batch(0, 1)
    for timestep in (900.5, 3.25):
        recorder.begin_pass(timestep + offset)
        recorder.observe(alone(CONV), torch.full((1, 1, 1, 1), timestep))
        recorder.flush()
    assert finished(recorder, [CONV])[1][0].mean.tolist() == [900.5, 3.25]


def test_a_layer_that_runs_twice_in_a_pass_counts_twice():
    recorder = Recorder(np.array([3.0, 2.0, 1.0]), 2, 0, 512, 64)
    recorder.begin_batch(0, 2)
    for timestep in (3.0, 2.0, 1.0):
        recorder.begin_pass(timestep)
        recorder.observe(alone(CONV), torch.zeros(2, 3, 4, 4))
        recorder.observe(alone(CONV), torch.ones(2, 3, 4, 4))
        recorder.flush()
    stats = finished(recorder, [CONV])[1][0]
    assert stats.count.tolist() == [2 * 96] * 3
    assert stats.mean.tolist() == [0.5] * 3


def test_the_draw_does_not_depend_on_the_layout_of_memory(record):
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    planes = record([x], drawn=64).histogram.counts
    rows = record([x.to(memory_format=torch.channels_last)], drawn=64).histogram.counts
    assert np.array_equal(planes, rows)
