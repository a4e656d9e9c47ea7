"""Ending in time: a budget of seconds, and a caller who may ask for an end."""

from __future__ import annotations

import math
import time

from analysis.errors import UserError
from analysis.progress import ShouldStop

WHOLE, BUDGET, CANCELLED = "whole", "budget", "cancelled"  # how work in pieces ended


class Clock:
    """Says before every piece of work whether it may begin."""

    def __init__(self, budget: float | None, should_stop: ShouldStop | None) -> None:
        self.budget, self._should_stop = budget, should_stop
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    def verdict(self, coming: float = 0.0) -> str | None:
        """Why a piece that takes `coming` seconds must not begin; `None` if it may."""
        if self._should_stop is not None and self._should_stop():
            return CANCELLED
        over = self.budget is not None and self.seconds + coming > self.budget
        return BUDGET if over else None


def check_budget(budget: float | None) -> None:
    """Raise `UserError` unless a budget is seconds above 0, or none."""
    if budget is None:
        return
    number = isinstance(budget, int | float) and not isinstance(budget, bool)
    if not number or not math.isfinite(budget) or budget <= 0:
        raise UserError(f"The budget must be a number of seconds above 0; got {budget!r}.")
