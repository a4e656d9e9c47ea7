"""The quantized models that a visitor has made: a few, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.errors import UserError
from analysis.records import Array
from workbench.session import Session

MOST = 4
MOST_BYTES = 2**30  # of their weights as they are held for simulation
PICTURE_BYTES = 64 * 2**20  # of the pictures that are kept of a comparison
MOST_PICTURES = 64


@dataclass(frozen=True, eq=False)
class Variant:
    """One quantized model and what is known of it."""

    number: int
    title: str  # plan, method and what differs from the method as it comes
    origin: str  # digest of the float model
    model: Any  # the ModelHandle it was made from
    quantized: Any  # QuantizedModel
    predicted: Mapping[str, float] = field(default_factory=dict)  # layer -> dB, of its input
    errors: Mapping[str, Any] = field(default_factory=dict)  # layer -> LayerError, measured
    bytes: int = 0

    @property
    def label(self) -> str:
        return f"{self.number}: {self.title}"


@dataclass(frozen=True, eq=False)
class Seen:
    """A variant's part in a comparison: what is left when the comparison is done."""

    number: int
    label: str
    pictures: Array  # [N, C, H, W] in [0, 1], the first ones
    values: Mapping[str, Any]
    x_q: Array  # [T, K, C, H, W], see `analysis.side_by_side.Film`
    one_step: Array  # [T, K, C, H, W]


@dataclass(frozen=True, eq=False)
class Compared:
    """Float beside some variants, from the same noise."""

    floating: Array  # [N, C, H, W] in [0, 1], the first ones
    x: Array  # [T, K, C, H, W], after each filmed step
    steps: Array  # [T] positions in the run
    timesteps: Array  # [T]
    seen: tuple[Seen, ...]

    def of(self, number: int | None) -> Seen:
        """A variant's part; the last one's where there is none of that number."""
        return next((one for one in self.seen if one.number == number), self.seen[-1])


def add(session: Session, variant: Variant) -> str:
    """File a new variant; a sentence about those that had to go, or nothing."""
    kept = [v for v in session.variants if v.origin == variant.origin]
    kept.append(variant)
    gone = []
    while len(kept) > 1 and (len(kept) > MOST or sum(v.bytes for v in kept) > MOST_BYTES):
        gone.append(kept.pop(0))
    session.variants = kept
    for old in gone:
        _forget_pictures(session, old.number)
    names = ", ".join(f"“{v.label}”" for v in gone)
    return f"To make room, {names} is no longer kept." if gone else ""


def next_number(session: Session) -> int:
    """Numbers go on counting, so that a title never changes its number."""
    session.drawn["variants"] = session.drawn.get("variants", 0) + 1
    return int(session.drawn["variants"])


def remove(session: Session, number: int) -> None:
    """Forget one variant and its pictures."""
    session.variants = [v for v in session.variants if v.number != number]
    _forget_pictures(session, number)
    if not any(v.quantized is session.quantized for v in session.variants):
        last = session.variants[-1] if session.variants else None
        session.quantized = last.quantized if last else None
        session.comparison = None


def chosen(session: Session) -> list[Variant]:
    """Those the visitor wants to compare; all of them at first."""
    left_out = session.drawn.get("left_out", ())
    return [v for v in session.variants if v.number not in left_out]


def applied(session: Session) -> Variant | None:
    """The variant that was made last, if it is still there."""
    return next((v for v in session.variants if v.quantized is session.quantized), None)


def memory_of(quantized: Any) -> int:
    """Bytes of the model as it is held: every weight in float."""
    return sum(p.numel() * p.element_size() for p in quantized.handle.denoiser.parameters())


def compared(variants: list[Variant], side: Any) -> Compared:
    """What is kept of `analysis.side_by_side.side_by_side`: numbers, a film, some pictures."""
    floating = side.comparisons[0].reference
    each = max(1, floating[:1].nbytes * (1 + len(variants)))
    count = max(1, min(MOST_PICTURES, PICTURE_BYTES // each))
    film = side.film
    seen = tuple(
        Seen(v.number, v.label, np.array(c.candidate[:count]), c.values, x_q, one_step)
        for v, c, x_q, one_step in zip(
            variants, side.comparisons, film.x_q, film.one_step, strict=True
        )
    )
    return Compared(np.array(floating[:count]), film.x, film.steps, film.timesteps, seen)


def check_some(session: Session) -> list[Variant]:
    """The variants to compare.

    Raises:
        UserError: when there are none.
    """
    if not session.variants:
        raise UserError("There is no quantized model yet: open Quantize and press Apply first.")
    wanted = chosen(session)
    if not wanted:
        raise UserError("No quantized model is ticked; tick at least one to compare with float.")
    return wanted


def _forget_pictures(session: Session, number: int) -> None:
    if session.side is None:
        return
    left = tuple(one for one in session.side.seen if one.number != number)
    session.side = _with_seen(session.side, left) if left else None


def _with_seen(side: Compared, seen: tuple[Seen, ...]) -> Compared:
    return Compared(side.floating, side.x, side.steps, side.timesteps, seen)
