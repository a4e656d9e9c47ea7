"""The growing histogram, against numpy's on its own edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.capture.bins import DyadicBins
from analysis.errors import UserError

finite = st.floats(-(2.0**100), 2.0**100, allow_nan=False, width=32)
near = st.floats(-4, 4, allow_nan=False, width=32)
chunk = st.tuples(
    st.integers(0, 2),
    st.one_of(st.lists(finite, min_size=1, max_size=8), st.lists(near, min_size=1, max_size=30)),
)


def fill(chunks, bins: int) -> DyadicBins:
    growing = DyadicBins(3, bins)
    for step, values in chunks:
        array = np.array(values, dtype=np.float32)
        growing.cover(float(array.min()), float(array.max()))
        growing.add(step, array)
    return growing


@given(st.lists(chunk, min_size=1, max_size=8), st.sampled_from([4, 5, 16, 512]))
def test_counts_are_those_of_numpy_on_the_same_edges(chunks, bins):
    histogram = fill(chunks, bins).histogram()
    for step in range(3):
        values = [v for s, part in chunks if s == step for v in part]
        expected, _ = np.histogram(np.array(values, dtype=np.float64), histogram.edges)
        assert histogram.counts[step].tolist() == expected.tolist()
        assert histogram.counts[step].sum() == len(values)


@given(st.lists(chunk, min_size=1, max_size=6), st.sampled_from([4, 64, 512]))
def test_edges_are_even_dyadic_and_enclose_every_value(chunks, bins):
    growing = fill(chunks, bins)
    edges = growing.histogram().edges
    values = [v for _, part in chunks for v in part]
    assert len(edges) == bins + 1
    assert edges[0] <= min(values)
    assert max(values) < edges[-1]
    width = 2.0**growing.exponent
    assert np.array_equal(np.diff(edges), np.full(bins, width))
    assert np.array_equal(edges / width, np.round(edges / width))


@given(st.lists(st.lists(near, min_size=1, max_size=20), min_size=1, max_size=6))
def test_what_was_seen_fills_seven_sixteenths_of_the_bins_or_more(chunks):
    values = [value for chunk in chunks for value in chunk]
    if max(values) - min(values) < 1e-3:
        return
    edges = fill([(0, chunk) for chunk in chunks], 512).histogram().edges
    assert max(values) - min(values) >= (edges[-1] - edges[0]) * 7 / 16


@given(st.lists(near, min_size=2, max_size=40, unique=True))
def test_a_range_seen_at_once_leaves_an_eighth_of_the_bins_free(values):
    if max(values) - min(values) < 1e-3:
        return
    edges = fill([(0, values)], 512).histogram().edges
    assert max(values) - min(values) <= (edges[-1] - edges[0]) * 7 / 8


def test_a_thousand_doublings_lose_nothing():
    growing, total = DyadicBins(1, 8), 0
    for exponent in range(-40, 60):
        values = np.array([2.0**exponent, -(2.0**exponent)], dtype=np.float32)
        growing.cover(values.min(), values.max())
        growing.add(0, values)
        total += 2
        assert growing.histogram().counts.sum() == total


def test_an_empty_side_is_given_up_before_bins_are_widened():
    growing = DyadicBins(1, 64)
    values = np.linspace(10.0, 10.5, 20)
    growing.cover(10.0, 10.5)
    growing.add(0, values)
    before = growing.exponent
    growing.cover(10.2, 10.0 + 55 * 2.0**before)
    assert growing.exponent == before
    expected, _ = np.histogram(values, growing.histogram().edges)
    assert growing.histogram().counts[0].tolist() == expected.tolist()


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-30, 3e38, -7.25, 1e-45])
def test_a_single_value_has_a_bin(value):
    growing = fill([(0, [value] * 5)], 512)
    histogram = growing.histogram()
    at = int(np.flatnonzero(histogram.counts[0])[0])
    assert histogram.counts[0].sum() == histogram.counts[0, at] == 5
    assert histogram.edges[at] <= np.float32(value) < histogram.edges[at + 1]


def test_a_value_on_an_edge_belongs_to_the_bin_that_begins_there():
    growing = fill([(0, [0.0, 1.0])], 4)
    histogram = growing.histogram()
    edge = histogram.edges[2]
    growing.add(0, np.array([edge], dtype=np.float32))
    assert growing.histogram().counts[0, 2] == histogram.counts[0, 2] + 1


@pytest.mark.parametrize(
    ("count", "kind"), [(255, np.uint8), (256, np.uint16), (65_535, np.uint16), (65_536, np.uint32)]
)
def test_counts_take_the_narrowest_type_that_holds_them(count, kind):
    growing = fill([(0, [1.0] * count)], 16)
    assert growing.histogram().counts.dtype == kind
    assert growing.histogram().counts.max() == count


def test_steps_share_their_edges_but_not_their_counts():
    growing = fill([(0, [0.0, 1.0]), (2, [100.0])], 64)
    assert growing.histogram().counts.sum(axis=1).tolist() == [2, 0, 1]
    assert growing.histogram().counts.shape == (3, 64)


@pytest.mark.parametrize("bins", [3, 0, -1])
def test_fewer_than_four_bins_cannot_grow(bins):
    with pytest.raises(UserError, match=f"bins must be a whole number of 4 or more; got {bins}"):
        DyadicBins(1, bins)
