"""Points of a plane: against numpy, and where there are too few of them."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from analysis.errors import UserError
from analysis.lab import embedding
from analysis.lab.embedding import available, embed


def test_pca_keeps_what_a_singular_value_decomposition_keeps():
    x = np.random.default_rng(0).standard_normal((30, 7)) * np.arange(1, 8)
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    found = embed(x, "pca")
    np.testing.assert_allclose(np.abs(found.points), np.abs(u[:, :2] * s[:2]), atol=1e-8)
    assert (found.method, found.note) == ("pca", "")


def test_tsne_keeps_neighbours_together():
    random = np.random.default_rng(0)
    clusters = [random.standard_normal((12, 6)) + 40 * i for i in range(3)]
    found = embed(np.concatenate(clusters), "tsne")
    assert (found.method, found.points.shape) == ("tsne", (36, 2))
    distance = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) // 12 == np.arange(36) // 12).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_points_are_shown_by_pca_and_it_says_so(count):
    x = np.random.default_rng(0).standard_normal((count, 5))
    found = embed(x, "tsne")
    assert found.method == "pca"
    np.testing.assert_array_equal(found.points, embed(x, "pca").points)
    assert found.note.startswith(f"t-SNE needs 5 points or more and there are {count} point")


def test_equal_points_lie_on_one_another():
    found = embed(np.ones((9, 4)), "tsne")
    assert found.method == "pca"
    assert found.points.tolist() == [[0, 0]] * 9
    assert "All points are equal" in found.note


def test_what_cannot_be_shown_is_one_sentence(monkeypatch):
    with pytest.raises(UserError, match="by pca, tsne, umap; got 'isomap'"):
        embed(np.ones((3, 2)), "isomap")
    with pytest.raises(UserError, match="finite vectors"):
        embed(np.full((6, 2), np.nan), "tsne")
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    assert available() == ("pca", "tsne")
    with pytest.raises(UserError, match="UMAP is not installed; install umap-learn"):
        embed(np.ones((9, 2)), "umap")


@pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed")
def test_umap_where_it_is_installed():
    assert embed(np.random.default_rng(0).standard_normal((20, 4)), "umap").points.shape == (20, 2)
