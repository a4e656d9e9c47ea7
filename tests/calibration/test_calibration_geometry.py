"""Density, diversity and coverage, by hand and against straightforward loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from analysis.calibration.geometry import (
    as_features,
    coverage,
    density,
    diversity,
    pairwise_distances,
    pooled,
    projection,
    quantile_radius,
)
from analysis.errors import UserError


def maps(steps: int = 6, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal((2, 3, 4, 4)) * (1 + t / 3) for t in range(steps)]


def test_distance_is_the_mean_squared_difference():
    """Features 0, 1 and 3 everywhere are 1, 4 and 9 apart."""
    features = as_features([np.full((1, 2, 2, 2), v) for v in (0, 1, 3)])
    expected = [[0, 1, 9], [1, 0, 4], [9, 4, 0]]
    np.testing.assert_allclose(pairwise_distances(features), expected, atol=1e-12)


def test_density_counts_the_other_steps_within_the_radius():
    distances = np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0.0]])
    assert density(distances, 0.5).tolist() == [0, 0, 0]
    assert density(distances, 1.0).tolist() == [1, 1, 0]
    assert density(distances, 4.0).tolist() == [1, 2, 1]
    assert density(distances, 0.0).tolist() == [0, 0, 0]


def test_diversity_by_hand():
    """Two positions. Vectors: right, up and left. 1 - cosine: 1 at a right angle, 2 opposite."""
    right, up, left = (
        np.array([[x, x], [y, y]]).reshape(1, 2, 1, 2) for x, y in [(1, 0), (0, 5), (-2, 0)]
    )
    found = diversity(as_features([right, up, left]))
    np.testing.assert_allclose(found, [2 * (1 + 2), 2 * (1 + 1), 2 * (2 + 1)])


def test_a_vector_of_zeros_has_cosine_zero():
    one, nothing = np.ones((1, 2, 1, 1)), np.zeros((1, 2, 1, 1))
    np.testing.assert_allclose(diversity(as_features([one, one, nothing])), [1, 1, 2], atol=1e-12)


def test_both_equal_the_formulas_written_as_loops():
    features = [torch.tensor(f) for f in maps()]
    stacked = as_features(features)
    distances = pairwise_distances(stacked)
    for t, own in enumerate(features):
        others = [f for i, f in enumerate(features) if i != t]
        near = sum(bool((own - f).square().mean() <= 6.0) for f in others)
        cosines = [torch.cosine_similarity(own, f, dim=1) for f in others]
        assert density(distances, 6.0)[t] == near
        expected = sum((1 - c).sum().item() for c in cosines)
        assert diversity(stacked)[t] == pytest.approx(expected, rel=1e-5)


def test_the_radius_is_a_quantile_of_the_pairs():
    distances = np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0.0]])
    assert [quantile_radius(distances, q) for q in (0, 0.5, 0.51, 1)] == [1, 4, 9, 9]
    assert quantile_radius(np.zeros((1, 1)), 0.5) == 0
    with pytest.raises(UserError, match="radius_quantile must be 0 to 1; got 2"):
        quantile_radius(distances, 2)


def test_coverage_by_hand():
    """At step 0 four points at 0, 1, 2, 3; at step 1 the same, ten further on. k = 1."""
    line = np.arange(4.0).reshape(4, 1, 1)
    reference = [line, line + 10]
    assert coverage(reference, [[0.4]], k=1).tolist() == [0.5, 0]  # within 1 of 0 and of 1
    assert coverage(reference, [[2.0]], k=1).tolist() == [0.75, 0]
    assert coverage(reference, [[2.0]], k=3).tolist() == [1, 0]
    assert coverage(reference, [[1.5], [10.0], [12.6]], k=1).tolist() == [0.5, 1]
    assert coverage(reference, [[99.0]], k=3).tolist() == [0, 0]


def test_a_run_covers_itself_and_more_samples_never_cover_less():
    random = np.random.default_rng(0)
    reference = [random.standard_normal((20, 4, 2, 2)) + 3 * t for t in range(3)]
    own = pooled(np.concatenate(reference))
    assert (coverage(reference, own) == 1).all()
    shares = [coverage(reference, own[:size]) for size in (3, 20, 40, 60)]
    assert all((a <= b).all() for a, b in pairwise(shares))
    assert 0 < shares[0][0] < 1
    assert shares[1].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "There are no features"),
        (
            [np.zeros((1, 2)), np.zeros((2, 2))],
            r"one shape \[N, C, \.\.\.\]; got \[1, 2\], \[2, 2\]",
        ),
        ([np.zeros(3)], "one shape"),
        ([np.zeros((0, 2))], "Features are empty"),
        ([np.ones((1, 2)), np.full((1, 2), np.nan)], "features of step 1 hold NaN"),
        ([np.full((1, 2), np.inf)], "features of step 0 hold NaN or infinite"),
    ],
)
def test_features_that_make_no_sense_are_named(features, message):
    with pytest.raises(UserError, match=message):
        as_features(features)


def test_coverage_needs_neighbours_and_numbers():
    with pytest.raises(UserError, match="two reference samples"):
        coverage([np.zeros((1, 2, 1))], [[0.0, 0.0]])
    with pytest.raises(UserError, match="NaN or infinite"):
        coverage([np.zeros((2, 2, 1))], [[np.nan, 0.0]])


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("size", [1, 2, 3, 6, 40])
def test_projections_give_finite_points_for_any_size(method, size):
    x = np.random.default_rng(0).standard_normal((size, 7))
    found = projection(x, method)
    assert found.shape == (size, 2)
    assert np.isfinite(found).all()
    assert np.array_equal(found, projection(x, method))


def test_pca_keeps_distances_of_points_in_a_plane():
    plane = np.random.default_rng(0).standard_normal((10, 2))
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 2)))[0]
    found = projection(plane @ axes.T + 3)
    wanted = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(found[:, None] - found[None], axis=2), wanted)
    assert (projection(np.ones((4, 3))) == 0).all()
    with pytest.raises(UserError, match="by pca or tsne; got 'umap'"):
        projection(plane, "umap")
