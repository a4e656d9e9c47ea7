"""Streaming statistics, against numpy on the concatenated data in any split."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis.records import LayerRef, LayerStats

LINEAR = LayerRef("net.linear", "linear", shape=(4, 4))
KINDS = ("normal", "far", "constant", "zero", "outlier", "tiny", "wide", "half negative")


def tensor(kind: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Data [N, ...] of a kind that strains one of the statistics."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(shape)
    if kind == "far":
        x += 30
    elif kind == "constant":
        x[:] = 0.1
    elif kind == "zero":
        x[:] = 0
    elif kind == "outlier":
        x.reshape(-1)[random.integers(x.size)] = 1e6
    elif kind == "tiny":
        x *= 1e-12
    elif kind == "wide":
        x = np.sign(x) * np.exp(8 * np.abs(x))
    elif kind == "half negative":
        x = np.where(random.random(shape) < 0.5, -1.5, x)
    return torch.from_numpy(x.astype(np.float32))


@st.composite
def splits(draw, most: int = 5):
    """Sizes of one to a few batches, a sample or more each."""
    return draw(st.lists(st.integers(1, 3), min_size=1, max_size=most))


def assert_like_numpy(stats: LayerStats, steps: list[torch.Tensor], axis: int = 1) -> None:
    scale = max(x.abs().max().item() for x in steps)
    for i, x in enumerate(steps):
        values = x.numpy().astype(np.float64)
        others = tuple(a for a in range(x.ndim) if a != axis)
        assert stats.count[i] == values.size
        assert stats.min[i] == values.min()
        assert stats.max[i] == values.max()
        assert stats.mean[i] == pytest.approx(values.mean(), rel=1e-5, abs=2e-6 * scale)
        assert stats.std[i] ** 2 == pytest.approx(values.var(), rel=2e-4, abs=1e-6 * scale**2)
        assert np.array_equal(stats.channel_min[i], values.min(axis=others))
        assert np.array_equal(stats.channel_max[i], values.max(axis=others))


@given(splits(), st.lists(st.sampled_from(KINDS), min_size=1, max_size=3), st.integers(0, 9))
def test_moments_extremes_and_histograms_are_numpys_in_any_split(record, sizes, kinds, seed):
    steps = [tensor(k, (sum(sizes), 3, 4, 2), seed + i) for i, k in enumerate(kinds)]
    stats = record(steps, sizes)
    assert_like_numpy(stats, steps)
    for i, x in enumerate(steps):
        values = x.numpy().astype(np.float64)
        expected, _ = np.histogram(values, stats.histogram.edges)
        assert stats.histogram.counts[i].tolist() == expected.tolist()
        assert stats.at(i).sampled == values.size


@given(splits(), st.sampled_from(KINDS), st.integers(0, 9))
def test_all_steps_together_are_numpys_too(record, sizes, kind, seed):
    steps = [tensor(kind, (sum(sizes), 2, 3, 3), seed + i) * (i + 1) for i in range(3)]
    total = record(steps, sizes).total
    values = torch.stack(steps).numpy().astype(np.float64)
    scale = np.abs(values).max()
    assert total.count == total.sampled == values.size
    assert (total.min, total.max) == (values.min(), values.max())
    assert total.mean == pytest.approx(values.mean(), rel=1e-5, abs=2e-6 * scale)
    assert total.std**2 == pytest.approx(values.var(), rel=2e-4, abs=1e-6 * scale**2)
    assert np.array_equal(total.channel_min, values.min(axis=(0, 1, 3, 4)))
    assert np.array_equal(total.channel_max, values.max(axis=(0, 1, 3, 4)))


def std_error(stats: LayerStats, steps: list[torch.Tensor]) -> list[float]:
    """Relative errors of the standard deviations."""
    true = [x.double().std(correction=0).item() for x in steps]
    return [abs(float(s) / t - 1) for s, t in zip(stats.std, true, strict=True)]


@pytest.mark.parametrize("mean", [300.0, -30_000.0])
def test_a_layer_known_to_be_far_from_zero_costs_no_precision(record, mean):
    steps = [tensor("normal", (4, 8, 16, 16), i) + mean for i in range(3)]
    assert max(std_error(record(steps, [2, 2]), steps)[1:]) < 1e-4


@pytest.mark.parametrize("mean", [100_000.0, -30_000.0])
def test_nor_does_the_first_pass(record, mean):
    steps = [tensor("normal", (4, 8, 16, 16), i) + mean for i in range(3)]
    assert std_error(record(steps, [2, 2]), steps)[0] < 1e-3


@pytest.mark.parametrize("drawn", [None, 64])
@pytest.mark.parametrize("kind", ["normal", "outlier", "wide", "far"])
def test_batches_change_no_histogram_and_hardly_a_moment(record, same_counts, drawn, kind):
    steps = [tensor(kind, (6, 3, 8, 8), i) for i in range(3)]
    whole = record(steps, [6], drawn=drawn)
    for sizes in ([1] * 6, [4, 2], [2, 4], [5, 1]):
        parts = record(steps, sizes, drawn=drawn)
        assert np.array_equal(parts.count, whole.count)
        assert np.array_equal(parts.min, whole.min)
        assert np.array_equal(parts.max, whole.max)
        np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(parts.std, whole.std, rtol=1e-3)
        for i in range(3):
            assert same_counts(parts.at(i).histogram, whole.at(i).histogram)


def layouts() -> dict[str, tuple[torch.Tensor, LayerRef, int]]:
    """Tensors as layers hand them over, with their layer and the axis of their channels."""
    conv = LayerRef("net.conv", "conv")
    picture = tensor("normal", (4, 6, 5, 3), 1) + torch.arange(6.0).reshape(1, 6, 1, 1)
    tokens = tensor("normal", (4, 7, 6), 2) + torch.arange(6.0)
    scores = tensor("normal", (4, 2, 5, 5), 3).softmax(-1)
    softmax = LayerRef("net#softmax", "attention", "softmax")
    return {
        "picture": (picture, conv, 1),
        "channels last": (picture.to(memory_format=torch.channels_last), conv, 1),
        "strided picture": (picture[:, :, ::2], conv, 1),
        "tokens": (tokens, LINEAR, 2),
        "transposed tokens": (tokens.transpose(1, 2).contiguous().transpose(1, 2), LINEAR, 2),
        "vector": (tokens[:, 0], LINEAR, 1),
        "queries": (tokens, LayerRef("net#q", "attention", "q"), 2),
        "scores": (scores, softmax, 1),
        "half precision": (picture.half(), conv, 1),
    }


@pytest.mark.parametrize("name", list(layouts()))
@pytest.mark.parametrize("drawn", [None, 16])
def test_every_layout_of_memory_gives_the_same_numbers(record, name, drawn):
    x, layer, axis = layouts()[name]
    steps = [x, x * 2]
    stats = record(steps, [3, 1], layer, drawn)
    assert_like_numpy(stats, [s.float() for s in steps], axis)
    expected = x.numel() if drawn is None else 16
    assert stats.at(0).sampled == expected


@pytest.mark.parametrize("name", ["picture", "channels last", "half precision"])
@pytest.mark.parametrize("part", [slice(0, 2), slice(2, None)])
@pytest.mark.parametrize("drawn", [None, 16])
def test_a_half_is_summarized_as_if_it_stood_alone(record, name, part, drawn):
    x, _, _ = layouts()[name]
    half = LayerRef("net.conv#h", "half", "h")
    stats = record([x], [4], half, drawn, part=part)
    assert_like_numpy(stats, [x[:, part].float()])
    drawn_values = stats.at(0).histogram
    reach = np.flatnonzero(drawn_values.counts)
    assert drawn_values.edges[reach[0] + 1] >= x[:, part].min().item()
    assert drawn_values.edges[reach[-1]] <= x[:, part].max().item()


def test_steps_are_kept_apart(record):
    steps = [torch.full((2, 1, 2, 2), float(value)) for value in (1, 2, 3)]
    stats = record(steps, [1, 1])
    assert stats.mean.tolist() == [1, 2, 3]
    assert stats.std.tolist() == [0, 0, 0]
    assert stats.at(1).min == stats.at(1).max == 2
