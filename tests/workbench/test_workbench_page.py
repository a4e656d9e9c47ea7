"""Events that overlap: what the page shows last is what was chosen last."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from workbench.captures import bundled_capture
from workbench.components import selection_bar
from workbench.page import MOST_REPAINTS, Page, Settings
from workbench.selection import first_selection
from workbench.session import Session, SessionStore
from workbench.shell import bar_value


@pytest.fixture
def session():
    opened = bundled_capture()
    return Session("visitor", opened, first_selection(opened))


@pytest.fixture
def page(session):
    """A page of one view, whose painting other events may overtake."""
    page = Page(Settings(), SessionStore(lambda key: session), [])
    page.bar, page.notice, page.bar_value = selection_bar(), object(), bar_value
    page.steps = []

    def paint(session):
        step = session.selection.step
        overtaken = page.overtakes.pop(0) if page.overtakes else step
        session.selection = (
            replace(session.selection, step=overtaken) if overtaken != step else (session.selection)
        )
        page.steps.append(step)
        return {}

    page.overtakes = []
    page.views = [SimpleNamespace(name="explore", detail=[], rest=[], paint=paint)]
    return page


def to(step):
    def change(session):
        session.selection = replace(session.selection, step=step)

    return change


def bar(page, updates):
    return json.loads(updates[page.bar])


def test_an_event_that_is_overtaken_while_it_paints_paints_again(page, session):
    page.overtakes = [7]
    updates = page.changed(session, to(3), (), [])
    assert page.steps == [3, 7]
    assert bar(page, updates)["step"] == 7


def test_painting_ends_though_every_paint_is_overtaken(page, session):
    page.overtakes = list(range(10, 20))
    page.changed(session, to(3), (), [])
    assert len(page.steps) == MOST_REPAINTS


def test_a_later_turn_never_shows_an_older_selection(page, session):
    first, second = (bar(page, page.changed(session, to(step), (), [])) for step in (3, 4))
    assert (first["step"], second["step"]) == (3, 4)
    assert first["turn"] < second["turn"]
