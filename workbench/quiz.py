"""A blind test: which of two pictures is the float model's?"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from math import comb

Draw = Callable[[int], int]  # a whole number below the given one


@dataclass
class Quiz:
    """One question for every sample, in an order that nobody is told.

    The side of a question is drawn when the question is put, and leaves this object only after
    the answer.
    """

    samples: int
    draw: Draw = secrets.randbelow
    number: int = -1  # of the question that is open; counts from 0
    right: int = 0
    answered: int = 0
    order: list[int] = field(default_factory=list, repr=False)
    float_first: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        self.order = list(range(self.samples))
        for i in reversed(range(1, self.samples)):  # Fisher and Yates
            j = self.draw(i + 1)
            self.order[i], self.order[j] = self.order[j], self.order[i]
        self._next()

    @property
    def over(self) -> bool:
        return self.number >= self.samples

    @property
    def sample(self) -> int:
        """The sample that the open question shows."""
        return self.order[self.number]

    def answer(self, number: int, first: bool) -> bool | None:
        """Whether the float picture is where the visitor says: the first of the two?

        `None`, and nothing counted, for a question that is not the open one.
        """
        if self.over or number != self.number:
            return None
        correct = first == self.float_first
        self.answered += 1
        self.right += correct
        self._next()
        return correct

    @property
    def chance(self) -> float:
        """How often a person who guesses is right at least as often."""
        return at_least(self.right, self.answered)

    def _next(self) -> None:
        self.number += 1
        self.float_first = bool(self.draw(2))


def at_least(right: int, of: int) -> float:
    """P(X >= right) for X binomial with `of` tries and probability 1/2."""
    return sum(comb(of, k) for k in range(right, of + 1)) / 2**of
