"""What a calibration sampler is: weights over the steps of a run; the rest is done here."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from analysis.calibration.allocation import allocate, check_size, normalized
from analysis.calibration.own_runs import Source, own_runs
from analysis.errors import UserError
from analysis.records import Array
from analysis.registry import Registry


@dataclass(frozen=True, kw_only=True)
class CalibrationSampler(ABC):
    """Chooses steps of a run, and by default takes x_t from the model's own runs.

    A sampler is a frozen dataclass with its options as fields. Steps are positions 0 .. T - 1 in
    the order visited, noise first.
    """

    uses_features: ClassVar[bool] = False  # whether `weights` wants feature maps
    allocated: ClassVar[bool] = False  # rounds weights to counts, rather than drawing steps

    @abstractmethod
    def weights(self, num_steps: int, features: Sequence[Array] | None = None) -> Array:
        """Weights [T], not negative; they need not sum to 1.

        Args:
            features: T feature maps [n, C, ...], one batch a step, for samplers that use them.
        """

    def check(self, num_steps: int, size: int) -> None:
        """Raise `UserError` when this size or number of steps makes no sense."""
        check_size(size)

    def steps(
        self,
        num_steps: int,
        size: int,
        features: Sequence[Array] | None = None,
        seed: int = 0,
    ) -> Array:
        """Steps [N] of the samples: drawn, or with `allocated` exactly proportional."""
        self.check(num_steps, size)
        weights = normalized(self.weights(num_steps, features))
        if self.allocated:
            return np.repeat(np.arange(num_steps), allocate(weights, size))
        return np.random.default_rng(seed).choice(num_steps, size, p=weights)

    def x_t(self, source: Source, steps: Array) -> Array:
        """Noisy samples [N, C, H, W] float32 at steps [N], which rise."""
        return own_runs(source, steps, np.arange(len(steps)))


SAMPLERS: Registry[type[CalibrationSampler]] = Registry("calibration sampler")


def setting(
    default: Any,
    help: str,
    choices: tuple[Any, ...] | None = None,
    range: tuple[float, float] | None = None,
) -> Any:
    """A dataclass field that forms can be made from; values outside are a `UserError`."""
    return field(default=default, metadata={"help": help, "choices": choices, "range": range})


def make_sampler(name: str, options: Mapping[str, Any]) -> CalibrationSampler:
    """The sampler of a name with its options.

    Raises:
        UserError: for an unknown name or option, and for a value that an option does not take.
    """
    kind = SAMPLERS.get(name)
    known = {f.name: f for f in fields(kind)}
    for option, value in options.items():
        if option not in known:
            listed = ", ".join(known) or "none"
            raise UserError(
                f"The calibration sampler {name!r} has no option {option!r}; its options are: "
                f"{listed}."
            )
        _check(option, value, known[option].default, known[option].metadata)
    return kind(**options)


def _check(name: str, value: Any, default: Any, metadata: Mapping[str, Any]) -> None:
    choices, bounds = metadata.get("choices"), metadata.get("range")
    if choices is not None and value not in choices:
        raise UserError(f"{name} must be one of: {', '.join(map(str, choices))}; got {value!r}.")
    if bounds is None or (value is None and default is None):
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and bounds[0] <= value <= bounds[1]):
        raise UserError(f"{name} must be {bounds[0]:g} to {bounds[1]:g}; got {value!r}.")
