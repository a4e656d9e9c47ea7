"""What a range estimator is, and where estimators are filed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from analysis.errors import UserError
from analysis.records import ActivationStats
from analysis.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class RangeEstimator(Protocol):
    """Chooses the range [lo, hi] of a grid; `qparams_from_range` then makes it contain 0.

    An estimator is a frozen dataclass with one setting at most. Both methods answer the same
    question, of values themselves and of what a capture kept of them. No file here imports
    torch when it is loaded: the page predicts from histograms without it.
    """

    def of_rows(self, x: Tensor, bits: int, symmetric: bool) -> tuple[Tensor, Tensor]:
        """lo and hi [R] for the rows of x [R, M], each row on its own."""

    def of_stats(self, stats: ActivationStats, bits: int, symmetric: bool) -> tuple[float, float]:
        """lo and hi for one tensor known by its statistics."""


ESTIMATORS: Registry[Callable[..., RangeEstimator]] = Registry("range estimator")


def get_estimator(text: str) -> RangeEstimator:
    """The estimator of a name, or of `name:setting` such as `percentile:99.9`.

    Raises:
        UserError: for an unknown name, or a setting that the estimator does not take.
    """
    name, colon, setting = str(text).partition(":")
    kind = ESTIMATORS.get(name)
    try:
        return kind(float(setting)) if colon else kind()
    except (TypeError, ValueError):
        fields = list(getattr(kind, "__dataclass_fields__", {}))
        takes = f"its {fields[0]}, a number" if fields else "no setting"
        raise UserError(
            f"The range estimator {name!r} takes {takes}, so it cannot read {text!r}."
        ) from None
