"""The histogram over timesteps that a visitor edits, and that is drawn as the sampler custom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from analysis.errors import UserError
from workbench.page import NothingToDo
from workbench.samplers import (
    MOST_A_BAR,
    MOST_BARS,
    counts_of,
    even,
    ramp,
    read_counts,
    read_samplers,
)
from workbench.session import Session
from workbench.views.calibration_work import NOTHING_DRAWN

FILLS = [
    ("the same number everywhere", "even"),
    ("more at the noise", "noise"),
    ("more at the picture", "picture"),
    ("the chosen set's counts", "set"),
]


def editor(session: Session) -> dict[str, Any]:
    """The histogram that can be edited, with timesteps as names where they are known."""
    selection, lab, opened = session.selection, session.lab, session.opened
    steps = selection.cal_steps
    if steps > MOST_BARS:
        text = f"The histogram can be edited for runs of up to {MOST_BARS} steps; lower Steps."
        return {"names": [], "prefix": "", "counts": [], "most": MOST_A_BAR, "empty": text}
    times = None
    if lab.land is not None and lab.land.steps == steps:
        times = lab.land.timesteps
    elif opened.capture.spec.steps == steps == opened.steps:
        times = opened.capture.timesteps
    names = [f"{t:g}" for t in times] if times is not None else [str(i + 1) for i in range(steps)]
    counts = counts_of(selection.custom, len(names), selection.cal_size)
    prefix = "step " if times is None else "t = "
    return {"names": names, "prefix": prefix, "counts": counts, "most": MOST_A_BAR, "empty": ""}


def edit(session: Session, value: Any, index: Any) -> None:
    """Take over the bars, and choose the sampler that draws them."""
    counts = value.get("counts") if isinstance(value, dict) else None
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise NothingToDo
    _draw_counts(session, counts)


def _draw_counts(session: Session, counts: list[int]) -> None:
    try:
        custom = read_counts("-".join(map(str, counts)))
    except ValueError:
        raise NothingToDo from None
    samplers = read_samplers(f"{session.selection.samplers}.custom")
    session.selection = replace(session.selection, custom=custom, samplers=samplers)


def fill(session: Session, how: str | None) -> None:
    """Fill the histogram in a known way, or as the chosen set is."""
    steps, size = session.selection.cal_steps, session.selection.cal_size
    kept = session.lab.selected
    if how == "set":
        if kept is None:
            raise UserError(NOTHING_DRAWN)
        session.selection = replace(session.selection, cal_steps=kept.wish.steps)
        return _draw_counts(session, kept.drawn.calibration.counts.tolist())
    if how is None or steps > MOST_BARS:
        raise NothingToDo
    fills = {"even": even(steps, size), "noise": ramp(steps, size, rising=False)}
    return _draw_counts(session, fills.get(how, ramp(steps, size, rising=True)))
