"""What may wait until the picture is there: tables that are folded away, knobs that show a grid.

Every output of an event costs the browser time, whether or not it changes. An event that selects
a cell therefore paints the plots alone; the facts that it paints then ask for the rest, if there
is any.
"""

from __future__ import annotations

from typing import Any

from workbench.page import Change, Page
from workbench.session import Session
from workbench.whatif import Grid

AT_FIRST = (Grid(), "all")  # what knobs show before anybody turns them


class Late:
    """The late parts of one view."""

    def __init__(self, name: str, tables: list[Any], knobs: list[Any]) -> None:
        self.name, self.tables, self.knobs = name, tables, knobs

    def wire(self, page: Page, accordion: Any, facts: Any) -> None:
        """Paint them when the tables are unfolded, and when the facts ask for it."""
        page.on(accordion.expand, self._unfold, [], self.tables)
        page.on(accordion.collapse, self._fold, [], [])
        page.on_part(facts, "late", self._note, [*self.tables, *self.knobs])

    def wanted(self, session: Session) -> bool:
        """Whether something that waits has changed."""
        shown = session.drawn.get(("knobs", self.name), AT_FIRST)
        stale = bool(self.knobs) and shown != _shown(session)
        return stale or session.drawn.get(("unfolded", self.name), False)

    def turned(self, change: Change) -> Change:
        """A change by a knob, which shows it already."""

        def noted(session: Session, *values: Any) -> None:
            change(session, *values)
            self._note(session)

        return noted

    def _unfold(self, session: Session) -> None:
        session.drawn[("unfolded", self.name)] = True

    def _fold(self, session: Session) -> None:
        session.drawn[("unfolded", self.name)] = False

    def _note(self, session: Session, value: Any = None, index: Any = None) -> None:
        session.drawn[("knobs", self.name)] = _shown(session)


def _shown(session: Session) -> Any:
    return session.selection.grid, session.selection.applies
