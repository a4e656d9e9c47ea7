"""What all views share: the visitors, the settings, and how an event repaints the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from analysis.errors import UserError
from workbench.components import Part, encoded
from workbench.components.part import heard
from workbench.jobs import JobQueue
from workbench.kept_captures import prune
from workbench.selection import READERS
from workbench.session import Session, SessionStore

Updates = dict[Any, Any]  # component -> its new value
Change = Callable[..., None]  # (session, *values)
Told = Sequence[tuple[Any, Any]]  # (value, index) of what was selected, oldest first


@dataclass(frozen=True)
class Settings:
    """How the page was started."""

    model: str = "fashion"
    runs: Path = Path("runs")
    demo: bool = False
    most_steps: int = 1000
    most_samples: int = 1024
    most_seconds: float | None = None  # of one computation

    @classmethod
    def for_demo(cls, model: str, runs: Path) -> Settings:
        """Limits for a page that strangers use."""
        return cls(model, runs, demo=True, most_steps=100, most_samples=64, most_seconds=120)


class NothingToDo(Exception):  # noqa: N818 - no error: the event changes nothing
    """Raised by a change that leaves everything as it is."""


class View(Protocol):
    """One tab: builds its components, then fills them from a session."""

    name: str
    title: str
    detail: list[Any]  # what follows the selected layer and timestep
    rest: list[Any]  # what changes more rarely: overviews, controls
    tab: Any

    def build(self, page: Page) -> None: ...

    def wire(self, page: Page) -> None: ...

    def paint(self, session: Session) -> Updates: ...


class Page:
    """Ties views, visitors and events together."""

    def __init__(self, settings: Settings, store: SessionStore, views: Sequence[View]) -> None:
        self.settings, self.store, self.views = settings, store, views
        self.jobs = JobQueue(settings.most_seconds)
        store.busy, store.swept = lambda: self.jobs.owners, self._tidy
        self.models: dict[str, Any] = {}  # loaded ones by name, used by jobs only
        self.bar: Part
        self.notice: Part
        self.bar_value: Callable[[Session, bool], Any]

    @property
    def outputs(self) -> list[Any]:
        """Every component that an event may change."""
        every = (c for view in self.views for c in (*view.detail, *view.rest))
        return [self.bar, self.notice, *every]

    def view(self, session: Session) -> View:
        """The tab the visitor is on."""
        return next(v for v in self.views if v.name == session.selection.tab)

    def _tidy(self, sessions: list[Session]) -> None:
        """Let go of models that nobody uses any more, and in a demo of captures that are old."""
        if self.jobs.owners:
            return
        used = {id(session.model) for session in sessions}
        for name in [name for name, model in self.models.items() if id(model) not in used]:
            self.models.pop(name, None)
        if self.settings.demo:
            prune(self.settings.runs, {session.opened.key for session in sessions})

    def paint(self, session: Session, whole: bool = False) -> Updates:
        """The bar and the visible tab; `whole` also sends what belongs to the capture."""
        shown = dict(session.shown)
        try:
            return {self.bar: self.bar_value(session, whole), **self.view(session).paint(session)}
        except UserError:
            session.shown = shown  # nothing of this is sent
            raise

    @contextmanager
    def session_of(self, request: gr.Request) -> Iterator[Session]:
        """The visitor's session, while no other of their events changes or paints it."""
        session = self.store.get(str(request.session_hash))
        with session.lock:
            yield session

    def on(
        self, listener: Any, change: Change, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> None:
        """Let an event change the session, then repaint `outputs`. The newest event wins.

        Every output that is listed costs the browser time, whether or not it changes: list few.
        """

        def handle(request: gr.Request, *values: Any) -> Updates:
            session = self.store.get(str(request.session_hash))
            return self.changed(session, change, [values], outputs)

        listener(handle, list(inputs), [self.bar, self.notice, *outputs], **READ)

    def on_part(self, part: Part, event: str, change: Change, outputs: Sequence[Any]) -> None:
        """As `on`, for the page's own components: `change` gets what was selected."""

        def handle(request: gr.Request, told: Told) -> Updates:
            session = self.store.get(str(request.session_hash))
            return self.changed(session, change, told, outputs)

        hear(part, event, handle, [self.bar, self.notice, *outputs])

    def changed(
        self,
        session: Session,
        change: Change,
        told: Sequence[Sequence[Any]],
        outputs: Sequence[Any],
    ) -> Updates:
        """Apply a change, once for each values that it was told, and repaint.

        What was wrong becomes one sentence, nothing is lost.

        A visitor's events may overlap, as a handle that is let go and its last move do: one of
        them at a time.
        """
        with session.lock:
            try:
                moved, failed = _apply(change, session, told)
                if not moved:
                    return sent({self.notice: failed}) if failed else {self.notice: gr.skip()}
                painted = self.paint(session)
            except UserError as error:
                return sent({self.notice: wrong(error)})
            said = session.drawn.pop("said", None)  # what the event before had to say
            return sent({self.notice: failed or said, **self._wanted(session, painted, outputs)})

    def _wanted(self, session: Session, painted: Updates, outputs: Sequence[Any]) -> Updates:
        wanted = {id(c) for c in (self.bar, *outputs)}
        for part in painted:
            if id(part) not in wanted:
                session.shown.pop(id(part), None)
        return {c: v for c, v in painted.items() if id(c) in wanted}


def _apply(
    change: Change, session: Session, told: Sequence[Sequence[Any]]
) -> tuple[bool, dict[str, str] | None]:
    """Whether anything was changed, and what was wrong last."""
    moved, failed = False, None
    for values in told:
        try:
            change(session, *values)
            moved = True
        except NothingToDo:
            continue
        except UserError as error:
            failed = wrong(error)
    return moved, failed


def wrong(error: UserError) -> dict[str, str]:
    """What the notice shows of a visitor's mistake."""
    return {"kind": "error", "text": str(error)}


def hear(
    part: Part, event: str, handle: Callable[[gr.Request, Told], Updates], outputs: Sequence[Any]
) -> None:
    """Handle what visitors do in one of the page's own components.

    `handle` gets all that was done since it was last called, oldest first: one call answers
    several events where they come faster than answers go out.
    """

    def handled(request: gr.Request, told: Any) -> Updates:
        given = told if isinstance(told, list) else []
        pairs = [(one[0], one[1]) for one in given if isinstance(one, list) and len(one) == 2]
        return handle(request, pairs) if pairs else {outputs[0]: gr.skip()}

    getattr(part, event)(handled, [part], list(outputs), js=heard(part, event), **READ)


def sent(updates: Updates) -> Updates:
    """Updates as Gradio sends them: the page's own parts take JSON text."""
    return {
        c: encoded(v) if isinstance(c, Part) and v is not None else v for c, v in updates.items()
    }


READ: dict[str, Any] = {
    "queue": False,
    "trigger_mode": "always_last",
    "show_progress": "hidden",
    "api_visibility": "private",
}


def setting(name: str) -> Change:
    """A change that puts a control's value into the selection field of that name.

    What is no value of that field, such as a number box that is being retyped, changes nothing.
    """

    def change(session: Session, value: Any) -> None:
        try:
            read = READERS[name](str(value))
        except (StopIteration, ValueError):
            return
        session.selection = replace(session.selection, **{name: read})

    return change


def check_whole(name: str, value: Any, least: int, most: int) -> None:
    """Raise `UserError` unless a number box holds a whole number within its limits."""
    if value is None or value != int(value) or not least <= value <= most:
        given = "nothing" if value is None else f"{value:g}"
        raise UserError(f"{name} must be a whole number from {least} to {most}; got {given}.")
