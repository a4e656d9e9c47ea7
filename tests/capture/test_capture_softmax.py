"""Attention probabilities from queries and keys: the compiled way against double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.capture import softmax
from analysis.capture.native import kernel
from analysis.capture.recorder import Recorder, finished
from analysis.capture.softmax import Scores
from analysis.errors import UserError
from analysis.records import LayerRef, LayerStats
from tests.capture.conftest import alone

compiled = pytest.mark.skipif(kernel() is None, reason="there is no C compiler here")


def drawn(*shape: int, seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * spread


def probabilities(q: torch.Tensor, k: torch.Tensor, scale: float) -> torch.Tensor:
    return Scores(q, k, scale).tensor()


def true(q: torch.Tensor, k: torch.Tensor, scale: float) -> torch.Tensor:
    return (q.double() @ k.double().transpose(2, 3) * scale).softmax(-1)


@pytest.fixture
def torchs(monkeypatch):
    """What torch's operators give, whether or not there is a compiler."""

    def found(*args) -> torch.Tensor:
        with monkeypatch.context() as patched:
            patched.setattr(softmax, "kernel", lambda: None)
            return probabilities(*args)

    return found


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 21),
    st.integers(1, 70),
    st.integers(1, 33),
    st.sampled_from([1e-3, 1.0, 5.0]),
)
def test_it_is_the_softmax_of_scaled_products(samples, heads, rows, length, depth, spread):
    q = drawn(samples, heads, rows, depth, seed=1, spread=spread)
    k = drawn(samples, heads, length, depth, seed=2, spread=spread)
    scale = depth**-0.5
    found = probabilities(q, k, scale)
    assert found.shape == (samples, heads, rows, length)
    exponent = float((q.abs() @ k.abs().transpose(2, 3)).max()) * scale
    near = 4e-7 * (1 + exponent)  # a score's own last digits are a relative error of its power
    torch.testing.assert_close(found.double(), true(q, k, scale), atol=near, rtol=near)


def test_heads_may_lie_side_by_side_as_projections_give_them():
    q = drawn(2, 12, 24).unflatten(-1, (3, 8)).transpose(1, 2)
    k = drawn(2, 20, 24, seed=1).unflatten(-1, (3, 8)).transpose(1, 2)
    assert not q.is_contiguous()
    together = probabilities(q, k, 0.3)
    assert torch.equal(together, probabilities(q.contiguous(), k.contiguous(), 0.3))
    torch.testing.assert_close(together.double(), true(q, k, 0.3), atol=1e-6, rtol=1e-5)


@compiled
@pytest.mark.parametrize("spread", [1e-20, 1.0, 40.0])
def test_it_is_as_near_as_torch(torchs, spread):
    q, k = drawn(4, 2, 64, 16, spread=spread), drawn(4, 2, 64, 16, seed=1, spread=spread)
    expected = true(q, k, 0.25)
    ours = (probabilities(q, k, 0.25) - expected).abs().max()
    assert ours <= 4 * (torchs(q, k, 0.25) - expected).abs().max() + 1e-7


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["q", "k"])
def test_what_is_no_number_stays_none(bad, where):
    q, k = drawn(2, 2, 9, 4), drawn(2, 2, 19, 4, seed=1)
    {"q": q, "k": k}[where][1, 0, 3, 2] = bad
    found = probabilities(q, k, 1.0)
    assert not found[1, 0, 3].isfinite().all()
    assert found[0].isfinite().all()


def test_scores_beyond_float32_are_no_numbers_either():
    q, k = torch.full((1, 1, 2, 4), 1e20), torch.full((1, 1, 3, 4), 1e20)
    assert probabilities(q, k, 1.0).isnan().all()


@compiled
def test_no_bit_depends_on_threads_or_on_the_batch():
    q, k = drawn(5, 3, 33, 12), drawn(5, 3, 50, 12, seed=1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(probabilities(q, k, 0.2))
    finally:
        torch.set_num_threads(before)
    found.append(torch.cat([probabilities(*(x[i : i + 1] for x in (q, k)), 0.2) for i in range(5)]))
    assert all(torch.equal(one, found[0]) for one in found[1:])


@pytest.mark.parametrize("kind", ["half", "long", "strided"])
def test_what_the_kernel_does_not_take_is_torchs(torchs, kind):
    q, k = drawn(1, 2, 5, 8), drawn(1, 2, 7, 8, seed=1)
    if kind == "half":
        q, k = q.bfloat16(), k.bfloat16()
    elif kind == "long":
        k = drawn(1, 2, softmax.SMALL, 8, seed=1)
    else:
        q = drawn(1, 2, 5, 16)[..., ::2]
    assert torch.equal(probabilities(q, k, 0.5), torchs(q, k, 0.5))


SOFTMAX = LayerRef("net#softmax", "attention", "softmax")


def looked_at(steps, drawn: int = 24, stored: bool = False, sizes: tuple[int, ...] = (2, 1)):
    """Statistics of (q, k) at each step, shown as scores or as a tensor of probabilities."""
    recorder = Recorder(np.arange(len(steps), 0, -1.0), sum(sizes), 0, 512, drawn)
    for first, size in zip((0, *np.cumsum(sizes)), sizes, strict=False):
        recorder.begin_batch(int(first), size)
        for step, pair in enumerate(steps):
            recorder.begin_pass(float(len(steps) - step))
            q, k = (x[first : first + size] for x in pair)
            scores = Scores(q, k, 0.3)
            recorder.observe(alone(SOFTMAX), scores.tensor() if stored else scores)
            recorder.flush()
    return finished(recorder, [SOFTMAX])[1][0]


def pairs(steps: int, heads: int, rows: int, length: int, depth: int, spread: float = 2.0):
    return [
        (
            drawn(3, heads, rows, depth, seed=2 * i, spread=spread),
            drawn(3, heads, length, depth, seed=2 * i + 1, spread=spread),
        )
        for i in range(steps)
    ]


def assert_same(a: LayerStats, b: LayerStats) -> None:
    for column in ("count", "min", "max", "channel_min", "channel_max"):
        assert np.array_equal(getattr(a, column), getattr(b, column)), column
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5)
    np.testing.assert_allclose(a.std, b.std, rtol=1e-4, atol=1e-7)
    assert np.array_equal(a.histogram.counts, b.histogram.counts)
    assert np.array_equal(a.histogram.edges, b.histogram.edges)


@compiled
@settings(max_examples=40)
@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70), st.integers(1, 17))
def test_scores_that_nobody_stored_have_the_statistics_of_those_stored(heads, rows, length, depth):
    steps = pairs(2, heads, rows, length, depth)
    assert_same(looked_at(steps), looked_at(steps, stored=True))


@compiled
def test_scores_are_not_stored_unless_all_are_counted(monkeypatch):
    stored = []

    def tensor(scores: Scores) -> torch.Tensor:
        stored.append(scores)
        return torch.ones(1, 1, 1, 1)

    monkeypatch.setattr(Scores, "tensor", tensor)
    looked_at(pairs(1, 2, 9, 11, 4), drawn=24)
    assert not stored
    looked_at(pairs(1, 2, 9, 11, 4), drawn=10**6)
    assert len(stored) == 2


@compiled
def test_even_scores_are_summed_about_their_mean():
    """All are 1/S, far off zero by any spread."""
    q, k = torch.zeros(3, 2, 40, 8), drawn(3, 2, 50, 8)
    stats = looked_at([(q, k)])
    assert stats.mean[0] == pytest.approx(1 / 50, rel=1e-6)
    assert stats.std[0] < 1e-9


@compiled
def test_no_bit_of_their_statistics_depends_on_threads():
    steps, before, found = pairs(2, 5, 45, 67, 16), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            found.append(looked_at(steps, drawn=300))
    finally:
        torch.set_num_threads(before)
    for one in found[1:]:
        assert one.mean.tobytes() == found[0].mean.tobytes()
        assert one.std.tobytes() == found[0].std.tobytes()
        assert_same(one, found[0])


@compiled
def test_scores_that_are_no_numbers_are_named():
    (q, k), *_ = pairs(1, 2, 9, 11, 4)
    q[2, 1, 3, 0] = math.nan
    with pytest.raises(UserError, match="net#softmax are not finite at timestep 1"):
        looked_at([(q, k)])
