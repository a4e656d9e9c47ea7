"""Feature vectors as points of a plane, for looking at."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from numpy.typing import ArrayLike

from analysis.calibration.geometry import projection
from analysis.errors import UserError
from analysis.records import Array

METHODS = ("pca", "tsne", "umap")
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
FEWEST = 5  # points from which on neighbours mean something


@dataclass(frozen=True)
class Embedding:
    """N points of a plane. Distances in it have no unit."""

    points: Array  # [N, 2]
    method: str  # that made it
    note: str = ""  # why another method than was asked for; empty where it was not


def available() -> tuple[str, ...]:
    """The methods that can be used here: UMAP only where `umap-learn` is installed."""
    return tuple(m for m in METHODS if m != "umap" or find_spec("umap") is not None)


def embed(vectors: ArrayLike, method: str = "pca", seed: int = 0) -> Embedding:
    """Feature vectors [N, D] on a plane by PCA, t-SNE or UMAP.

    t-SNE (van der Maaten & Hinton 2008) and UMAP (McInnes et al. 2018, arXiv 1802.03426) keep
    neighbours together; fewer than five points have no neighbourhoods, and equal points none
    that differ: both are shown by PCA instead, and the note says so.

    Raises:
        UserError: for a method that does not exist or is not installed, and for vectors that
            are not finite.
    """
    if method not in METHODS:
        raise UserError(f"Points are put on a plane by {', '.join(METHODS)}; got {method!r}.")
    if method not in available():
        raise UserError("UMAP is not installed; install umap-learn, or choose PCA or t-SNE.")
    x = np.asarray(vectors, dtype=np.float64)
    if method == "pca":
        return Embedding(projection(x, "pca", seed), "pca")
    note = _too_few(x, TITLES[method])
    if note:
        return Embedding(projection(x, "pca", seed), "pca", note)
    points = projection(x, "tsne", seed) if method == "tsne" else _umap(x, seed)
    return Embedding(np.asarray(points, dtype=np.float64), method)


def _too_few(x: Array, title: str) -> str:
    if len(x) < FEWEST:
        named = f"{len(x)} point" + "s" * (len(x) != 1)
        return f"{title} needs {FEWEST} points or more and there are {named}, so PCA is shown."
    if x.ndim == 2 and np.isfinite(x).all() and np.ptp(x, axis=0).max(initial=0.0) == 0:
        return f"All points are equal, so {title} has no neighbours to tell apart; PCA is shown."
    return ""


def _umap(x: Array, seed: int) -> Array:
    from umap import UMAP  # type: ignore[import-not-found, unused-ignore]

    neighbours = min(15, len(x) - 1)
    return UMAP(n_neighbors=neighbours, init="random", random_state=seed).fit_transform(x)
