"""What a metric is, where metrics are filed, and what they ask of their pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from analysis.errors import UserError
from analysis.registry import Registry

SLACK = 1e-3  # rounding that a picture in [0, 1] may show beyond its range


@dataclass(frozen=True)
class Metric:
    """A number for a pair of tensors, and how to read it.

    Calling a metric computes it. Pictures are floating, [N, C, H, W], in [0, 1]. A value may be
    infinite (nothing differs) or NaN (the input holds NaN): JSON has neither, so write null.
    """

    name: str
    unit: str
    higher_is_better: bool
    compute: Callable[[Tensor, Tensor], float]

    def __call__(self, reference: Tensor, candidate: Tensor) -> float:
        return self.compute(reference, candidate)


METRICS: Registry[Metric] = Registry("metric")


def check_images(images: Tensor) -> None:
    """Raise `UserError` unless `images` is floating, [N, C, H, W], not empty, within [0, 1]."""
    if images.ndim != 4 or images.numel() == 0:
        raise UserError(
            f"Pictures must have the shape [N, C, H, W], not {list(images.shape)}; reshape them."
        )
    if not images.is_floating_point():
        raise UserError(
            f"Pictures must be floating point in [0, 1], not {images.dtype}; divide bytes by 255."
        )
    low, high = images.min().item(), images.max().item()
    if low < -SLACK or high > 1 + SLACK:
        raise UserError(
            f"Pictures must lie in [0, 1], but these go from {low:.3g} to {high:.3g}; "
            "rescale or clamp them."
        )


def check_pair(reference: Tensor, candidate: Tensor) -> None:
    """Raise `UserError` unless both are pictures and their shapes agree."""
    check_images(reference)
    check_images(candidate)
    check_same_shape(reference, candidate)


def check_same_shape(reference: Tensor, candidate: Tensor) -> None:
    """Raise `UserError` unless the shapes agree."""
    if reference.shape != candidate.shape:
        raise UserError(
            f"The two tensors have the shapes {list(reference.shape)} and "
            f"{list(candidate.shape)}; compare the same samples of both models."
        )
