"""How the steps of a run and a calibration set lie in the denoiser's feature space.

A feature map F_t [n, C, ...] is what the middle of the denoiser makes of one batch at step t.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analysis.errors import UserError
from analysis.records import Array

NEIGHBOURS = 3  # the radius of a neighbourhood reaches its third nearest fellow


def as_features(features: Sequence[Any]) -> Array:
    """Feature maps as [T, n, C, P] float32: T steps, n samples, C channels, P positions.

    Raises:
        UserError: when there are none, they differ in shape, or hold NaN or infinite values.
    """
    maps = [_to_numpy(f) for f in features]
    if not maps:
        raise UserError("There are no features; give one feature map for each step.")
    if maps[0].ndim < 2 or any(f.shape != maps[0].shape for f in maps):
        shapes = sorted({str(list(f.shape)) for f in maps})
        raise UserError(
            f"Features must all have one shape [N, C, ...]; got {', '.join(shapes[:3])}."
        )
    stacked = np.stack(maps)
    if stacked.size == 0:
        raise UserError(f"Features are empty, of shape {list(maps[0].shape)}.")
    if not np.isfinite(stacked).all():
        step = int(np.flatnonzero(~np.isfinite(stacked.reshape(len(maps), -1)).all(axis=1))[0])
        raise UserError(
            f"The features of step {step} hold NaN or infinite values; check the model's weights."
        )
    return stacked.reshape(*stacked.shape[:3], -1)


def pairwise_distances(maps: Array) -> Array:
    """mean((F_t - F_t')^2) [T, T] in squared units of the features [T, n, C, P]."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    power = np.square(flat).mean()
    flat -= flat.mean(axis=0)  # distances stay, rounding shrinks
    gram = flat @ flat.T / flat.shape[1]
    squares = np.diagonal(gram)
    distances = squares[:, None] + squares[None, :] - 2 * gram
    distances[distances < 1e-12 * power] = 0.0  # rounding, and slightly negative values
    np.fill_diagonal(distances, 0.0)
    return distances


def quantile_radius(distances: Array, quantile: float) -> float:
    """The given quantile 0 .. 1 of the distances between different steps; 0 for a single step."""
    if not 0 <= quantile <= 1:
        raise UserError(f"radius_quantile must be 0 to 1; got {quantile}.")
    pairs = distances[np.triu_indices(len(distances), 1)]
    # Among the pairs themselves, so that the radius never falls just short of one of them.
    return float(np.quantile(pairs, quantile, method="higher")) if len(pairs) else 0.0


def density(distances: Array, radius: float) -> Array:
    """EDA-DM's D_t [T]: how many other steps lie within the radius of step t."""
    return (distances <= radius).sum(axis=1) - (np.diagonal(distances) <= radius)


def diversity(maps: Array) -> Array:
    """EDA-DM's V_t [T]: sum over other steps and all n * P positions of 1 - cosine.

    The cosine runs along the channels of [T, n, C, P]; a vector of zeros has cosine 0 with all.
    Summing the unit vectors of all steps first gives the same in one pass.
    """
    maps = maps.astype(np.float64)
    length = np.linalg.norm(maps, axis=2, keepdims=True)
    unit = np.divide(maps, length, out=np.zeros_like(maps), where=length > 1e-12)
    positions = maps.shape[1] * maps.shape[3]
    to_all = np.einsum("tncp,ncp->t", unit, unit.sum(axis=0))
    to_self = np.square(unit).sum(axis=(1, 2, 3))
    found = (len(maps) - 1) * positions - (to_all - to_self)
    return np.where(found > 1e-9 * len(maps) * positions, found, 0.0)  # below it: rounding


def coverage(reference: Sequence[Any], samples: ArrayLike, k: int = NEIGHBOURS) -> Array:
    """Share [T] of the reference's neighbourhoods that hold a sample, step by step.

    Coverage as by Naeem et al. (2020, arXiv 2002.09797, eq. 5): every feature vector of the
    reference run has a ball around it that reaches its k-th nearest neighbour, and counts as
    covered if a sample lies in the ball. Neighbours are sought at the same step only: the same
    run a step later is closer than any other run, and would make all balls too small.

    Args:
        reference: T feature maps [n, C, ...] of runs of their own; positions are averaged.
        samples: feature vectors [N, C] of the calibration set, at whatever steps.

    Raises:
        UserError: when a step has fewer than two reference samples, or values are not finite.
    """
    points = as_features(reference).mean(axis=3)  # [T, n, C]
    vectors = np.asarray(samples, dtype=np.float32)
    if points.shape[1] < 2:
        raise UserError("Coverage needs two reference samples a step or more.")
    if not np.isfinite(vectors).all():
        raise UserError("The calibration set's features hold NaN or infinite values.")
    shares = []
    for own in points:
        among = np.sort(_squared(own, own), axis=1)  # column 0 is the point itself
        reach = among[:, min(k, len(own) - 1)]
        shares.append((_squared(own, vectors).min(axis=1) <= reach * (1 + 1e-6)).mean())
    return np.array(shares)


def pooled(features: Any) -> Array:
    """Feature maps [N, C, ...] averaged over their positions, [N, C]."""
    array = _to_numpy(features)
    return array.reshape(*array.shape[:2], -1).mean(axis=2)


def projection(vectors: ArrayLike, method: str = "pca", seed: int = 0) -> Array:
    """Feature vectors [N, D] as points [N, 2] of a plane, for looking at.

    Args:
        method: `pca`, or `tsne`; fewer than five points are always projected by PCA, and the
            perplexity of t-SNE never exceeds a third of the number of points.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    x = np.asarray(vectors, dtype=np.float64)
    if method not in ("pca", "tsne"):
        raise UserError(f"A projection is made by pca or tsne; got {method!r}.")
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise UserError("A projection needs finite vectors [N, D], one or more.")
    if method == "tsne" and len(x) >= 5:
        perplexity = min(30.0, (len(x) - 1) / 3)
        return TSNE(2, perplexity=perplexity, init="random", random_state=seed).fit_transform(x)
    if np.ptp(x, axis=0).max() == 0:
        return np.zeros((len(x), 2))
    found = PCA(min(2, *x.shape), random_state=seed).fit_transform(x)
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def _squared(a: Array, b: Array) -> Array:
    """Squared distances [A, B] of vectors [A, C] and [B, C]."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    middle = a.mean(axis=0)
    a, b = a - middle, b - middle
    found = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None, :] - 2 * a @ b.T
    return np.maximum(found, 0.0)


def _to_numpy(value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().float().cpu().numpy()
    return np.asarray(value, dtype=np.float32)
