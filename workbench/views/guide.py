"""Lessons: a step sets the visitor's selection as a link would, and the page follows."""

from __future__ import annotations

from typing import Any

import gradio as gr

from workbench.captures import bundled_capture
from workbench.components.guide import guide
from workbench.lessons import LESSONS, selected, told
from workbench.page import Page, Told, Updates, hear, sent
from workbench.session import Session

BEFORE = "before lesson"  # what the visitor had selected when the lesson began


class Guide:
    """The panel with lessons and glossary."""

    def build(self, page: Page) -> None:
        """Lay out the panel, closed at first."""
        self.part = guide({"lessons": listed(), "step": None}, elem_id="guide")

    def wire(self, page: Page) -> None:
        """Connect the panel."""

        def handle(request: gr.Request, asked: Told) -> Updates:
            wanted, _ = asked[-1]
            with page.session_of(request) as session:
                step = go(session, wanted if isinstance(wanted, dict) else {})
                painted = page.paint(session, whole=True)
                tab = gr.Tabs(selected=session.selection.tab)
            return sent({**painted, self.part: {"step": step}, page.notice: None, page.tabs: tab})

        hear(self.part, "select", handle, [page.tabs, self.part, *page.outputs])


def listed() -> list[dict[str, Any]]:
    """The lessons in their order, as the list shows them."""
    lessons = sorted((LESSONS.get(name) for name in LESSONS), key=lambda lesson: lesson.place)
    return [
        {"name": x.name, "title": x.title, "about": x.about, "minutes": max(1, round(x.minutes))}
        for x in lessons
    ]


def go(session: Session, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """Select what a step asks for; its words, or `None` once the lesson has ended.

    Lessons are told on the bundled capture. What the visitor had open comes back afterwards.
    """
    name, index = wanted.get("lesson"), wanted.get("step")
    lesson = LESSONS.get(name) if isinstance(name, str) and name in LESSONS else None
    session.shown.clear()
    if lesson is None or not isinstance(index, int) or not 0 <= index < len(lesson.steps):
        session.opened, session.selection = session.drawn.pop(
            BEFORE, (session.opened, session.selection)
        )
        return None
    session.drawn.setdefault(BEFORE, (session.opened, session.selection))
    opened, step = bundled_capture(), lesson.steps[index]
    session.opened, (session.selection, _) = opened, selected(step, opened)
    return {
        "lesson": lesson.name,
        "heading": lesson.title,
        "index": index,
        "count": len(lesson.steps),
        "title": step.title,
        "text": told(step.text, opened, session.selection),
        "look": told(step.look, opened, session.selection),
        "at": step.at,
    }
