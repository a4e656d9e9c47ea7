"""The calibration sets that a visitor has drawn, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import UserError
from analysis.quant.plan import QuantPlan
from analysis.records import Array

if TYPE_CHECKING:
    from analysis.lab.draw import DrawnSet, Landscape
    from analysis.lab.effect import Effect
    from analysis.lab.embedding import Embedding
    from analysis.lab.stability import Stability

MOST_SETS = 64  # as many as there are looks
MOST_BYTES = 256 * 2**20  # of the noisy samples of one visitor
BACKGROUND_POINTS, SET_POINTS = 320, 120  # shown in the scatter


@dataclass(frozen=True)
class Wish:
    """A set as it was asked for."""

    sampler: str
    size: int
    steps: int
    seed: int
    counts: tuple[int, ...] | None = None  # of the sampler custom
    how: tuple[Any, ...] = ()  # scheduler, prompt and guidance of the capture

    @property
    def options(self) -> dict[str, Any]:
        """The sampler's options."""
        return {} if self.counts is None else {"counts": self.counts}


@dataclass(frozen=True)
class Conditions:
    """What effects must have in common to be compared."""

    plan: QuantPlan
    capture: str  # key of the capture that scales are held against
    steps: int  # of the held-out runs
    how: Any  # they are sampled


@dataclass
class Kept:
    """A drawn set and what was measured with it."""

    key: str
    slot: int  # its colour
    wish: Wish
    drawn: DrawnSet
    effect: Effect | None = None

    @property
    def label(self) -> str:
        """For people: number, sampler and size."""
        return f"{self.slot + 1}. {self.wish.sampler}, {self.wish.size}"


@dataclass(frozen=True)
class Placed:
    """Features on a plane: all steps of held-out runs, and the samples of every set."""

    embedding: Embedding
    parts: dict[str, Array]  # set -> rows [n] of the embedding; "" for the held-out runs
    rows: dict[str, Array]  # set -> which of its samples they are [n]

    def points(self, key: str) -> Array:
        """Points [n, 2] of a set; none of one that came later."""
        return self.embedding.points[self.parts.get(key, np.zeros(0, dtype=int))]


@dataclass
class Lab:
    """Drawn sets of one model, and what they are held against."""

    model_digest: str = ""
    land: Landscape | None = None
    kept: list[Kept] = field(default_factory=list)
    chosen: str = ""  # key of the set that the buttons work on
    placed: dict[str, Placed] = field(default_factory=dict)  # method -> points
    measured: Conditions | None = None  # what `reference` and the sets' effects were measured under
    reference: Effect | None = None  # effect of the capture
    stability: tuple[str, Stability] | None = None  # what was repeated, and what came of it
    numbered: int = 0

    def clear(self) -> None:
        """Forget everything: the sets of one model mean nothing to another."""
        self.__dict__.update(Lab().__dict__)

    def find(self, key: str) -> Kept | None:
        """The set of a key."""
        return next((kept for kept in self.kept if kept.key == key), None)

    @property
    def selected(self) -> Kept | None:
        """The set that is chosen; the last one drawn where none is."""
        return self.find(self.chosen) or (self.kept[-1] if self.kept else None)

    def missing(self, wishes: Iterable[Wish]) -> list[Wish]:
        """Wishes that no set here fulfils.

        Raises:
            UserError: when there would be more sets than can be kept.
        """
        have = {kept.wish for kept in self.kept}
        wanted = [wish for wish in dict.fromkeys(wishes) if wish not in have]
        if len(self.kept) + len(wanted) > MOST_SETS:
            raise UserError(
                f"{MOST_SETS} sets fit side by side, and this would make "
                f"{len(self.kept) + len(wanted)}; remove some first."
            )
        return wanted

    def add(self, wish: Wish, drawn: DrawnSet) -> Kept:
        """Keep a set, in a colour that no other has."""
        held = sum(kept.drawn.calibration.x_t.nbytes for kept in self.kept)
        if held + drawn.calibration.x_t.nbytes > MOST_BYTES:
            raise UserError("The sets take too much memory together; remove some, or draw fewer.")
        slot = min(set(range(MOST_SETS)) - {kept.slot for kept in self.kept})
        self.numbered += 1
        kept = Kept(f"set-{self.numbered}", slot, wish, drawn)
        self.kept.append(kept)
        return kept

    def remove(self, key: str) -> None:
        """Let a set go."""
        self.kept = [kept for kept in self.kept if kept.key != key]

    def measure_under(self, conditions: Conditions) -> None:
        """Compare under these conditions from now on: other measurements are forgotten."""
        if conditions != self.measured:
            self.measured, self.reference = conditions, None
            for kept in self.kept:
                kept.effect = None

    def vectors(self) -> tuple[Array, dict[str, Array], dict[str, Array]]:
        """Features [M, C] to be put on a plane, with the parts and rows of `Placed`."""
        assert self.land is not None
        background = self.land.vectors.reshape(-1, self.land.vectors.shape[-1])  # [T * n, C]
        sources = {"": background, **{kept.key: kept.drawn.vectors for kept in self.kept}}
        parts, rows, first = {}, {}, 0
        for key, source in sources.items():
            most = SET_POINTS if key else BACKGROUND_POINTS
            rows[key] = np.unique(np.linspace(0, len(source) - 1, most).round().astype(int))
            parts[key] = np.arange(first, first + len(rows[key]))
            first += len(rows[key])
        return np.concatenate([sources[k][rows[k]] for k in sources]), parts, rows
