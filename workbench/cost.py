"""Work whose cost is said before it begins; what does not fit waits for a second press."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis.progress import Progress, ShouldStop
from workbench.jobs import Work
from workbench.session import Session

Measure = Callable[[Progress, ShouldStop], Any]  # -> analysis.Estimate; in the job's thread
Foretell = Callable[..., Measure]  # (session, *values), as Prepare
AGAIN = "press the button once more to start anyway"


def looking(session: Session, name: str, measure: Measure) -> Work:
    """Work that finds the cost of other work, and nothing else."""

    def work(progress: Progress, should_stop: ShouldStop) -> None:
        session.drawn[cost_key(name)] = said(measure(progress, should_stop))

    return work


def careful(session: Session, name: str, measure: Measure, work: Work) -> Work:
    """The work, with its cost found first.

    What does not fit is refused once; the next press of the button starts it.
    """
    key = ("anyway", name)

    def whole(progress: Progress, should_stop: ShouldStop) -> Any:
        from analysis.cost.record import check_fits

        found = measure(progress, should_stop)
        session.drawn[cost_key(name)] = said(found)
        if not session.drawn.pop(key, False):
            session.drawn[key] = not found.fits
            check_fits(found, AGAIN)
        return work(progress, should_stop)

    return whole


def said(found: Any) -> str:
    """An estimate beside its button."""
    room = "" if found.fits else " That is more than is free."
    return f"{found.text[0].upper()}{found.text[1:]} of memory.{room}"


def cost_key(name: str) -> tuple[str, str]:
    """Where a session keeps what was said of a button's work."""
    return ("cost", name)


def cost_of(session: Session, name: str) -> str:
    """What was last said of a button's work."""
    return session.drawn.get(cost_key(name), "")
