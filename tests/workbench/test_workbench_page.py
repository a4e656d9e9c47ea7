"""Events that overlap: what the page shows last is what was chosen last."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gradio as gr
import pytest

from analysis.errors import UserError
from workbench.captures import bundled_capture
from workbench.components import selection_bar, table
from workbench.page import NothingToDo, Page, Settings, hear
from workbench.selection import first_selection
from workbench.session import Session, SessionStore
from workbench.shell import bar_value
from workbench.views import explore


@pytest.fixture
def session():
    opened = bundled_capture()
    return Session("visitor", opened, first_selection(opened))


class View:
    """A tab of one part, which it paints when its state is another; painting can be held up."""

    name = "explore"

    def __init__(self):
        self.part, self.detail, self.rest = selection_bar(elem_id="a"), [], []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def paint(self, session):
        step = session.selection.step
        self.begun.set()
        assert self.may_end.wait(20)
        return {} if session.shows(self.part, step) else {self.part: step}


@pytest.fixture
def view():
    return View()


@pytest.fixture
def page(session, view):
    page = Page(Settings(), SessionStore(lambda key: session), [view])
    page.bar, page.notice, page.bar_value = selection_bar(elem_id="b"), object(), bar_value
    return page


def to(step, began=None):
    def change(session):
        if began is not None:
            began.set()
        session.selection = replace(session.selection, step=step)

    return change


def bar(page, updates):
    return json.loads(updates[page.bar])


def test_of_two_events_that_overlap_the_second_waits_and_sends_what_it_changed(page, view, session):
    view.may_end.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(page.changed, session, to(3), [()], [])
        assert view.begun.wait(20)
        began = threading.Event()
        second = pool.submit(page.changed, session, to(4, began), [()], [view.part])
        assert not began.wait(0.2)
        view.may_end.set()
        assert bar(page, first.result(20))["step"] == 3
        updates = second.result(20)
    assert bar(page, updates)["step"] == 4
    assert json.loads(updates[view.part]) == 4


def test_what_an_event_does_not_send_is_sent_by_the_next_that_may(page, view, session):
    assert view.part not in page.changed(session, to(3), [()], [])
    assert json.loads(page.changed(session, to(3), [()], [view.part])[view.part]) == 3
    assert view.part not in page.changed(session, to(3), [()], [view.part])


def chosen(session, step, _):
    if step == session.selection.step:
        raise NothingToDo
    if step > 40:
        raise UserError(f"There is no step {step}.")
    session.selection = replace(session.selection, step=step)


class TestEventsThatCameTogether:
    def test_are_one_answer(self, page, view, session):
        told = [(3, 0), (4, 0), (4, 0), (5, 0)]
        assert json.loads(page.changed(session, chosen, told, [view.part])[view.part]) == 5

    def test_are_none_where_nothing_changes(self, page, view, session):
        here = session.selection.step
        updates = page.changed(session, chosen, [(here, 0), (here, 0)], [view.part])
        assert list(updates) == [page.notice]

    def test_lose_nothing_to_one_that_fails(self, page, view, session):
        updates = page.changed(session, chosen, [(3, 0), (99, 0), (4, 0)], [view.part])
        assert json.loads(updates[view.part]) == 4
        assert "no step 99" in str(updates[page.notice])

    def test_only_fail(self, page, view, session):
        updates = page.changed(session, chosen, [(98, 0), (99, 0)], [view.part])
        assert list(updates) == [page.notice]
        assert "no step 99" in str(updates[page.notice])


@pytest.mark.parametrize("told", [None, [], {}, "text", 3, [3], [[1, 2, 3]], [None]])
def test_what_is_no_list_of_events_does_nothing(told):
    handled = []
    with gr.Blocks() as blocks:
        part = table(elem_id="part")
        hear(part, "select", lambda request, told: handled.append(told), [part])
    blocks.fns[0].fn(None, told)
    assert not handled


def moved(high):
    return [-high, high]


def test_what_a_failed_event_painted_is_sent_by_the_next(page, view, session, monkeypatch):
    paint = view.paint

    def fails(session):
        paint(session)
        raise UserError("These filters leave no layer.")

    with monkeypatch.context() as patch:
        patch.setattr(view, "paint", fails)
        said = page.changed(session, to(5), [()], [view.part])
    assert "leave no layer" in str(said[page.notice])
    assert page.changed(session, to(5), [()], [view.part])[view.part] == "5"
    assert view.part not in page.changed(session, to(5), [()], [view.part])


def test_a_move_of_a_handle_that_comes_after_its_end_changes_nothing(page, session):
    explore.clip(session, moved(2.0), 3)
    with pytest.raises(NothingToDo):
        explore.drag(session, moved(5.0), 2)
    assert session.selection.grid.clip == (-2.0, 2.0)


def test_a_later_turn_never_shows_an_older_selection(page, session):
    first, second = (bar(page, page.changed(session, to(step), [()], [])) for step in (3, 4))
    assert (first["step"], second["step"]) == (3, 4)
    assert first["turn"] < second["turn"]
