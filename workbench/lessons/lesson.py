"""What a lesson is made of, and how its words get their numbers.

A lesson holds no number of its own: `{name}` in a text stands for a fact of `facts.py`, worked out
from the capture that is open, so that the words and the plots beside them cannot part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from analysis.registry import Registry
from workbench.captures import OpenCapture
from workbench.lessons.facts import FACTS
from workbench.selection import Selection, from_query

WORDS_A_MINUTE = 150  # of somebody who also looks at the plots
SECONDS_A_STEP = 15  # to find them

Holds = Callable[[OpenCapture, Selection], bool]


@dataclass(frozen=True)
class Step:
    """One screen of a lesson.

    `select` is written as in the page's address, with `t` for the timestep; what it leaves out is
    as at the start. `at` is the `elem_id` of the part to look at. `holds` says whether what the
    text claims in words is so; a test asks it.
    """

    title: str
    text: str
    look: str
    at: str
    select: Mapping[str, str]
    holds: Holds = lambda opened, selection: True

    @property
    def words(self) -> int:
        """How much there is to read."""
        return len(f"{self.title} {self.text} {self.look}".split())


@dataclass(frozen=True)
class Lesson:
    """Steps in order, and what the list of lessons says about them."""

    name: str
    place: int  # in the list
    title: str
    about: str
    steps: tuple[Step, ...]

    @property
    def minutes(self) -> float:
        """About how long it takes."""
        words = sum(step.words for step in self.steps)
        return words / WORDS_A_MINUTE + len(self.steps) * SECONDS_A_STEP / 60


LESSONS: Registry[Lesson] = Registry("lesson")


def selected(step: Step, opened: OpenCapture) -> tuple[Selection, list[str]]:
    """What a step selects, and the names of what the capture does not have."""
    return from_query(dict(step.select), opened)


def told(text: str, opened: OpenCapture, selection: Selection) -> str:
    """A step's words with the numbers of the capture in them."""
    names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    values: dict[str, Any] = {name: FACTS[name](opened, selection) for name in names}
    return text.format(**values)
